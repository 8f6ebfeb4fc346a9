//! Settings in environment variables: `QDRANT__SECTION__KEY` and `ICECORE__SECTION__KEY`, in any case.
//!
//! Variables with one underscore after the prefix (`QDRANT_URI`) are not settings and are left alone.

use std::ffi::OsString;

use super::ConfigError;
use super::value::{Entry, Origin, Raw};

/// Prefixes, the stronger last.
const PREFIXES: [&str; 2] = ["qdrant__", "icecore__"];

/// The settings among the variables, the stronger last. Of other variables nothing is looked at but the name.
pub(crate) fn entries(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<Entry>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        let setting = PREFIXES.iter().enumerate().find_map(|(rank, prefix)| Some((rank, lower.strip_prefix(prefix)?)));
        let Some((rank, key)) = setting else { continue };
        let key = key.replace("__", ".");
        let origin = Origin::Variable(name);
        match value.into_string() {
            Ok(value) => found.push((rank, Entry { key, value: Raw::Scalar(value), origin })),
            Err(_) => return Err(ConfigError::Value { key, origin, reason: "it is not UTF-8".to_owned() }),
        }
    }
    // The environment has no order of its own. By key, `snapshots_path` comes after, and so overrules, `snapshot_path`.
    found.sort_by(|(rank, entry): &(usize, Entry), (other_rank, other)| (rank, &entry.key).cmp(&(other_rank, &other.key)));
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}
