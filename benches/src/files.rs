//! Files of bytes that no compression or sharing of blocks makes less of, and files of points, that compression does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_archive::{Crc32c, Member, MemberPath, Plan, Sha256Digest};
use icecore_io::{File, FileKind, Fs, Rng};
use tempfile::TempDir;

use crate::payload;

/// The files of a plan, in its order.
#[derive(Debug)]
pub struct Files {
    /// What an archive of them contains.
    pub plan: Plan,
    /// Where they are.
    pub paths: Vec<PathBuf>,
    /// The sum of their lengths.
    pub len: u64,
}

impl Files {
    /// Writes `count` files of `len` bytes each into `dir`, durably: the disk has nothing else to do when measuring begins.
    pub fn create(fs: &dyn Fs, dir: &Path, count: usize, len: usize) -> Result<Self, Box<dyn std::error::Error>> {
        Self::create_with_lens(fs, dir, &vec![len; count])
    }

    /// The same with a length for each.
    pub fn create_with_lens(fs: &dyn Fs, dir: &Path, lens: &[usize]) -> Result<Self, Box<dyn std::error::Error>> {
        let (mut rng, mut lens_left) = (Rng::new(1), lens.iter());
        Self::create_of(fs, dir, lens.len(), || {
            let len = lens_left.next().copied().unwrap_or(0);
            let mut data = Vec::with_capacity(len + 8);
            while data.len() < len {
                data.extend_from_slice(&rng.next_u64().to_le_bytes());
            }
            data.truncate(len);
            data
        })
    }

    /// The same with files that are half payloads, half vectors, about `len` bytes long: zstd makes about 60 % of them.
    pub fn create_points(fs: &dyn Fs, dir: &Path, count: usize, len: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let (mut rng, mut id) = (Rng::new(1), 0);
        Self::create_of(fs, dir, count, || {
            let mut data = Vec::with_capacity(len);
            while data.len() < len {
                id += 1;
                let (city, price, tag) = (rng.below(500), rng.below(100_000), rng.below(1 << 40));
                data.extend_from_slice(payload(id).as_bytes());
                data.extend_from_slice(
                    format!(r#"{{"street":"Street {city}","price":{price},"tag":"{tag:x}","open":true}}"#).as_bytes(),
                );
                // Sixteen bits are exact in a float.
                let component = |_| (f32::from(u16::try_from(rng.below(1 << 16)).unwrap_or(0)) / 65536.0).to_le_bytes();
                data.extend((0..32).flat_map(component));
            }
            data
        })
    }

    fn create_of(
        fs: &dyn Fs,
        dir: &Path,
        count: usize,
        mut contents: impl FnMut() -> Vec<u8>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut members = Vec::with_capacity(count);
        let mut paths = Vec::with_capacity(count);
        for index in 0..count {
            let data = contents();
            let name = format!("{index:04}.bin");
            let path = dir.join(&name);
            let file = fs.create_new(&path)?;
            file.write_all_at(&data, 0)?;
            file.sync_data()?;
            members.push(Member {
                path: MemberPath::new(name)?,
                len: data.len() as u64,
                sha256: Sha256Digest::of(&data),
                crc32c: Crc32c::of(&data),
            });
            paths.push(path);
        }
        fs.sync_dir(dir)?;
        let plan = Plan::new(serde_json::Value::Null, members)?;
        let len = plan.data_len();
        Ok(Self { plan, paths, len })
    }

    /// Opens the files by their number, as a source of an archive.
    pub fn source(&self, fs: &dyn Fs) -> impl Fn(usize) -> io::Result<Arc<dyn File>> + Sync {
        |index| fs.open_read(self.paths.get(index).ok_or(io::ErrorKind::NotFound)?)
    }
}

/// A new directory below `root`, which goes away with the value.
///
/// # Panics
/// If it cannot be made.
pub fn scratch(root: &str) -> TempDir {
    super::must(std::fs::create_dir_all(root).and_then(|()| TempDir::new_in(root)))
}

/// Copies everything below `from` into the directory `to`, which is made. Nothing is synced.
pub fn copy_tree(source: &dyn Fs, from: &Path, target: &dyn Fs, to: &Path) -> io::Result<()> {
    target.create_dir(to)?;
    for entry in source.list(from)? {
        let to = to.join(&entry.name);
        if source.metadata(&entry.path)?.kind == FileKind::Dir {
            copy_tree(source, &entry.path, target, &to)?;
        } else {
            let bytes = icecore_io::read_file(source, &entry.path, u64::MAX)?;
            target.create_new(&to)?.write_all_at(&bytes, 0)?;
        }
    }
    Ok(())
}
