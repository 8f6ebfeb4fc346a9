//! Settings in environment variables: `QDRANT__SECTION__KEY` and `ICECORE__SECTION__KEY`, in any case.
//!
//! Variables with one underscore after the prefix (`QDRANT_URI`) are not settings and are left alone.

use super::value::{Entry, Origin, Raw};

/// Prefixes, the stronger last.
const PREFIXES: [&str; 2] = ["qdrant__", "icecore__"];

/// The settings among the variables, the stronger last.
pub(crate) fn entries(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Entry> {
    let mut found: Vec<(usize, Entry)> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let (rank, key) = PREFIXES
                .iter()
                .enumerate()
                .find_map(|(rank, prefix)| Some((rank, lower.strip_prefix(prefix)?.replace("__", "."))))?;
            Some((rank, Entry { key, value: Raw::Scalar(value), origin: Origin::Variable(name) }))
        })
        .collect();
    // The environment has no order of its own. By key, `snapshots_path` comes after, and so overrules, `snapshot_path`.
    found.sort_by(|(rank, entry), (other_rank, other)| (rank, &entry.key).cmp(&(other_rank, &other.key)));
    found.into_iter().map(|(_, entry)| entry).collect()
}
