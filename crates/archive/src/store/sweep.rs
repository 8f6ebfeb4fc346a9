//! Removes what a crash left in a directory of archives: temporaries that nobody works on any more, and side files without an archive.
//!
//! For each name that has something left over, the right to make that archive is taken first, as its maker would; where that fails,
//! somebody is at work and nothing of that name is touched. Files that are not named as ours are left alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use icecore_io::{Fs, publish};

use super::attempt::Attempt;
use super::name::ArchiveName;
use super::side::{CHECKSUM_SUFFIX, META_SUFFIX};
use super::{remove_if_there, side_path};
use crate::Error;

/// What [`sweep`] removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// The files, sorted.
    pub removed: Vec<PathBuf>,
}

/// Removes dead temporaries and orphan side files from `dir`. Safe at any time; meant for the start.
pub fn sweep(fs: &dyn Fs, dir: &Path) -> Result<Swept, Error> {
    let entries = fs.list(dir).map_err(Error::io("list", dir))?;
    let present: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut suspects = BTreeSet::new();
    for file_name in &present {
        match left_over(file_name) {
            Some((name, LeftOver::Temp)) => suspects.extend([name]),
            Some((name, LeftOver::Side)) if !present.contains(name.as_str()) => suspects.extend([name]),
            _ => {}
        }
    }
    let mut swept = Swept::default();
    for name in suspects {
        sweep_name(fs, dir, &name, &present, &mut swept.removed)?;
    }
    if !swept.removed.is_empty() {
        fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    }
    swept.removed.sort();
    Ok(swept)
}

fn sweep_name(
    fs: &dyn Fs,
    dir: &Path,
    name: &ArchiveName,
    present: &BTreeSet<&str>,
    removed: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let temp = name.temp_path(dir);
    let Some(attempt) = Attempt::begin(fs, dir, name).map_err(Error::io("lock", &temp))? else {
        return Ok(());
    };
    let archive = dir.join(name.as_str());
    let is_there = fs.exists(&archive).map_err(Error::io("look at", &archive))?;
    for suffix in [META_SUFFIX, CHECKSUM_SUFFIX] {
        let side = side_path(&archive, suffix);
        let side_temp = publish::temp_path(&side);
        for (path, is_orphan) in [(side_temp, true), (side, !is_there)] {
            if is_orphan && remove_if_there(fs, &path).map_err(Error::io("remove", &path))? {
                removed.push(path);
            }
        }
    }
    let was_there =
        temp.file_name().and_then(|file_name| file_name.to_str()).is_some_and(|file_name| present.contains(file_name));
    if attempt.remove(fs).map_err(Error::io("remove", &temp))? && was_there {
        removed.push(temp);
    }
    Ok(())
}

enum LeftOver {
    /// A temporary, of the archive or of a side file.
    Temp,
    /// A side file.
    Side,
}

/// The archive that a file belongs to, if it could be something left over.
fn left_over(file_name: &str) -> Option<(ArchiveName, LeftOver)> {
    if let Some(name) = ArchiveName::of_temp(file_name) {
        return Some((name, LeftOver::Temp));
    }
    let (final_name, kind) = match file_name.strip_suffix(publish::TEMP_SUFFIX) {
        Some(final_name) => (final_name, LeftOver::Temp),
        None => (file_name, LeftOver::Side),
    };
    let archive = final_name.strip_suffix(CHECKSUM_SUFFIX).or_else(|| final_name.strip_suffix(META_SUFFIX))?;
    Some((ArchiveName::new(archive).ok()?, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_knows_its_archive() {
        for archive in ["a.snapshot", "a.snapshot.zst"] {
            for suffix in [".checksum", ".meta.json"] {
                let side = format!("{archive}{suffix}");
                assert!(matches!(left_over(&side), Some((name, LeftOver::Side)) if name.as_str() == archive), "{side}");
            }
            for temp in [format!(".{archive}.tmp"), format!("{archive}.checksum.tmp"), format!("{archive}.meta.json.tmp")] {
                assert!(matches!(left_over(&temp), Some((name, LeftOver::Temp)) if name.as_str() == archive), "{temp}");
            }
        }
        for other in ["a.snapshot", "a.checksum", ".a.snapshot.checksum", "a.snapshot.tmp"] {
            assert!(left_over(other).is_none(), "{other}");
        }
    }
}
