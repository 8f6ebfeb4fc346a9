//! Where archives belong, and what a new one is called.
//!
//! Which texts can be the name of an archive is decided by [`ArchiveName`]: whoever has one can join it to a directory without
//! leaving it. Names here only have to be likely to be free; that no archive overwrites another is the store's promise.

use std::time::SystemTime;

use icecore_archive::{ARCHIVE_NAME_LEN_MAX, ARCHIVE_SUFFIX, ArchiveName, COMPRESSED_SUFFIX};
use icecore_storage::{Scope, names};
use jiff::Timestamp;

use crate::config::CLUSTER_NAME_LEN_MAX;

/// The most bytes that the name of an archive has besides those of its place: a shard, the time, a count, suffixes and dashes.
const REST_LEN_MAX: usize = 80;
// Only the names of collections are cut, so there is room for all else. The settings limit the names of clusters.
const _: () = assert!("full-snapshot".len() + CLUSTER_NAME_LEN_MAX + REST_LEN_MAX < ARCHIVE_NAME_LEN_MAX);

/// Where an archive belongs in a store. Collections are given by their own names, never by an alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// Archives of everything.
    Storage,
    /// Archives of a collection.
    Collection(String),
    /// Archives of one shard of a collection.
    Shard {
        /// The collection's name.
        collection: String,
        /// The shard's number.
        shard: u32,
    },
    /// Archives of a collection of a cluster on other machines, or of one of its shards.
    Elsewhere {
        /// What the cluster is called here.
        cluster: String,
        /// What it calls the collection.
        collection: String,
        /// The shard's number, if they are of a shard.
        shard: Option<u32>,
    },
    /// Sets, each of which stands for a backup of the whole cluster of this name on other machines.
    Cluster(String),
}

/// The directory, in that of a collection, of its shards' archives.
pub(crate) const SHARDS_DIR: &str = "shards";
/// The directory, in that of a collection, of what clusters on other machines have under its name; in that of the store, of their sets.
pub(crate) const CLUSTERS_DIR: &str = "clusters";

impl Place {
    /// Where archives of a scope belong whose collection is given by its own name.
    pub(crate) fn of(scope: Scope) -> Self {
        match scope {
            Scope::Storage => Self::Storage,
            Scope::Collection(collection) => Self::Collection(collection),
            Scope::Shard { collection, shard } => Self::Shard { collection, shard },
        }
    }

    /// The directories that lead to it in a store, the outermost first. No archive is called as one of the fixed names, because
    /// archives end in `.snapshot`. Errors: a collection or a cluster whose name cannot be a directory.
    pub(crate) fn dirs(&self) -> icecore_storage::Result<Vec<String>> {
        let (collection, cluster, shard) = match self {
            Self::Storage => return Ok(Vec::new()),
            Self::Cluster(cluster) => {
                names::validate(cluster)?;
                return Ok(vec![CLUSTERS_DIR.to_owned(), cluster.clone()]);
            }
            Self::Collection(collection) => (collection, None, None),
            Self::Shard { collection, shard } => (collection, None, Some(*shard)),
            Self::Elsewhere { cluster, collection, shard } => (collection, Some(cluster), *shard),
        };
        // Names come from the catalog and the settings, which have checked them; a path is no place for trust.
        names::validate(collection)?;
        let mut dirs = vec![collection.clone()];
        if let Some(cluster) = cluster {
            names::validate(cluster)?;
            dirs.extend([CLUSTERS_DIR.to_owned(), cluster.clone()]);
        }
        if let Some(shard) = shard {
            dirs.extend([SHARDS_DIR.to_owned(), shard.to_string()]);
        }
        Ok(dirs)
    }

    /// The collection, if it is about one.
    pub(crate) fn collection(&self) -> Option<&str> {
        match self {
            Self::Storage | Self::Cluster(_) => None,
            Self::Collection(collection) | Self::Shard { collection, .. } | Self::Elsewhere { collection, .. } => {
                Some(collection)
            }
        }
    }

    /// The place to which these directories lead; `None` if there is none.
    pub(crate) fn at(dirs: &[&str]) -> Option<Self> {
        // Only as it is written here: `01` is nobody's directory.
        let number = |text: &str| text.parse().ok().filter(|number: &u32| number.to_string() == text);
        let place = match dirs {
            [] => Self::Storage,
            [collection] => Self::Collection((*collection).to_owned()),
            [CLUSTERS_DIR, cluster] => Self::Cluster((*cluster).to_owned()),
            [collection, SHARDS_DIR, shard] => Self::Shard { collection: (*collection).to_owned(), shard: number(shard)? },
            [collection, CLUSTERS_DIR, cluster] => {
                Self::Elsewhere { cluster: (*cluster).to_owned(), collection: (*collection).to_owned(), shard: None }
            }
            [collection, CLUSTERS_DIR, cluster, SHARDS_DIR, shard] => Self::Elsewhere {
                cluster: (*cluster).to_owned(),
                collection: (*collection).to_owned(),
                shard: Some(number(shard)?),
            },
            _ => return None,
        };
        place.dirs().is_ok().then_some(place)
    }
}

/// Names for a new archive of `place` made at `now`, in the order of trying: `<place>-<UTC time>.snapshot`, then with `-2`, `-3`
/// and so on before the suffix, which is `.snapshot.zst` for a compressed one. That of a collection has the id of this node before the time (source: Qdrant),
/// that of a cluster elsewhere the cluster's name.
///
/// A collection's name that is too long for a file name is cut; a dot at its beginning becomes `_`. Both do no harm: archives of
/// different collections are in different directories.
pub(crate) fn candidates(place: &Place, compressed: bool, peer_id: u64, now: SystemTime) -> impl Iterator<Item = ArchiveName> {
    let (subject, middle) = match place {
        Place::Storage => ("full-snapshot", String::new()),
        Place::Cluster(cluster) => ("full-snapshot", format!("-{cluster}")),
        Place::Collection(collection) => (collection.as_str(), format!("-{peer_id}")),
        Place::Shard { collection, shard } => (collection.as_str(), format!("-shard-{shard}")),
        Place::Elsewhere { cluster, collection, shard: None } => (collection.as_str(), format!("-{cluster}")),
        Place::Elsewhere { cluster, collection, shard: Some(shard) } => {
            (collection.as_str(), format!("-{cluster}-shard-{shard}"))
        }
    };
    let subject = match subject.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => subject.to_owned(),
    };
    let compressed = if compressed { COMPRESSED_SUFFIX } else { "" };
    let time = utc(now).strftime("%Y-%m-%d-%H-%M-%S").to_string();
    (1_u32..).filter_map(move |number| {
        let count = if number == 1 { String::new() } else { format!("-{number}") };
        let rest = format!("{middle}-{time}{count}{ARCHIVE_SUFFIX}{compressed}");
        let room = subject.floor_char_boundary(ARCHIVE_NAME_LEN_MAX.saturating_sub(rest.len()));
        // Never refused: the name of a place has no slash and no control character, and the length fits.
        ArchiveName::new(format!("{}{rest}", subject.get(..room).unwrap_or_default())).ok()
    })
}

/// What an archive that is not kept is called.
pub(crate) fn streamed(scope: &Scope, now: SystemTime) -> String {
    let time = utc(now).strftime("%Y-%m-%d-%H-%M-%S");
    match scope {
        Scope::Storage => format!("full-snapshot-{time}{ARCHIVE_SUFFIX}"),
        Scope::Collection(collection) => format!("{collection}-{time}{ARCHIVE_SUFFIX}"),
        Scope::Shard { collection, shard } => format!("{collection}-shard-{shard}-{time}{ARCHIVE_SUFFIX}"),
    }
}

/// A time as `2024-07-22T08:31:55`, in UTC.
pub(crate) fn creation_time(time: SystemTime) -> String {
    utc(time).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A time as `2024-07-22T08:31:55.900Z` (RFC 3339). Always of one length, so that texts are in the order of the times.
pub(crate) fn timestamp(time: SystemTime) -> String {
    utc(time).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Times that no calendar has become the epoch.
fn utc(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2024-07-22T08:31:55Z.
    const NOW: Duration = Duration::from_millis(1_721_637_115_900);

    fn first(place: &Place, count: usize) -> Vec<String> {
        candidates(place, false, 42, SystemTime::UNIX_EPOCH + NOW).take(count).map(|name| name.to_string()).collect()
    }

    #[test]
    fn names_say_what_and_when() {
        let collection = "a b".to_owned();
        assert_eq!(first(&Place::Storage, 1), ["full-snapshot-2024-07-22-08-31-55.snapshot"]);
        assert_eq!(
            first(&Place::Collection(collection.clone()), 3),
            [
                "a b-42-2024-07-22-08-31-55.snapshot",
                "a b-42-2024-07-22-08-31-55-2.snapshot",
                "a b-42-2024-07-22-08-31-55-3.snapshot"
            ]
        );
        assert_eq!(first(&Place::Shard { collection, shard: 7 }, 1), ["a b-shard-7-2024-07-22-08-31-55.snapshot"]);
        let elsewhere = |shard| Place::Elsewhere { cluster: "east".to_owned(), collection: "c".to_owned(), shard };
        assert_eq!(first(&elsewhere(None), 1), ["c-east-2024-07-22-08-31-55.snapshot"]);
        assert_eq!(first(&elsewhere(Some(7)), 1), ["c-east-shard-7-2024-07-22-08-31-55.snapshot"]);
        assert_eq!(first(&Place::Cluster("east".to_owned()), 1), ["full-snapshot-east-2024-07-22-08-31-55.snapshot"]);
        assert_eq!(creation_time(SystemTime::UNIX_EPOCH + NOW), "2024-07-22T08:31:55");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH + NOW), "2024-07-22T08:31:55.900Z");
    }

    #[test]
    fn places_are_apart() {
        let (cluster, collection) = ("east".to_owned(), "c".to_owned());
        let elsewhere = |shard| Place::Elsewhere { cluster: cluster.clone(), collection: collection.clone(), shard };
        assert_eq!(elsewhere(None).dirs().unwrap(), ["c", "clusters", "east"]);
        assert_eq!(elsewhere(Some(7)).dirs().unwrap(), ["c", "clusters", "east", "shards", "7"]);
        assert_eq!(Place::Storage.dirs().unwrap(), [""; 0]);
        // Nothing of a collection that is called as the directory is there.
        let of_namesake = Place::Shard { collection: CLUSTERS_DIR.to_owned(), shard: 7 };
        let set = Place::Cluster(SHARDS_DIR.to_owned());
        assert_eq!(set.dirs().unwrap(), ["clusters", "shards"]);
        for place in [Place::Storage, Place::Collection("c".to_owned()), elsewhere(None), elsewhere(Some(7)), of_namesake, set] {
            let dirs = place.dirs().unwrap();
            assert_eq!(Place::at(&dirs.iter().map(String::as_str).collect::<Vec<_>>()), Some(place));
        }
        for nowhere in
            [&["c", "shards"][..], &["c", "shards", "07"], &["c", "clusters", "east", "shards"], &["..", "shards", "1"]]
        {
            assert_eq!(Place::at(nowhere), None, "{nowhere:?}");
        }
        for hostile in ["..", "a/b", ""] {
            let place = Place::Elsewhere { cluster: hostile.to_owned(), collection: collection.clone(), shard: None };
            assert!(place.dirs().is_err(), "{hostile}");
        }
    }

    #[test]
    fn every_collection_has_names() {
        for collection in
            ["n".repeat(255), "\u{fc}".repeat(127), "..a".to_owned(), ".snapshot".to_owned(), "x.snapshot".to_owned()]
        {
            for place in [Place::Collection(collection.clone()), Place::Shard { collection: collection.clone(), shard: u32::MAX }]
            {
                let names = first(&place, 100);
                let mut distinct = names.clone();
                distinct.dedup();
                assert_eq!((names.len(), &distinct), (100, &names), "{collection}");
                assert!(names.iter().all(|name| name.len() <= ARCHIVE_NAME_LEN_MAX));
            }
        }
    }

    #[test]
    fn the_longest_name_of_a_cluster_leaves_room() {
        let cluster = "e".repeat(CLUSTER_NAME_LEN_MAX);
        let of =
            |collection: &str, shard| Place::Elsewhere { cluster: cluster.clone(), collection: collection.to_owned(), shard };
        let long = "n".repeat(255);
        for place in [Place::Cluster(cluster.clone()), of("c", None), of(&long, None), of(&long, Some(u32::MAX))] {
            let names: Vec<_> = candidates(&place, true, u64::MAX, SystemTime::UNIX_EPOCH + NOW).take(100).collect();
            assert_eq!(names.len(), 100);
            assert!(names.iter().all(|name| name.to_string().contains(&format!("-{cluster}-"))), "{names:?}");
        }
    }
}
