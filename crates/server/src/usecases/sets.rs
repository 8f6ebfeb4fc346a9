//! Sets: archives without members whose subject stands for the backup of a whole cluster on other machines.
//!
//! A set lists the archives of the cluster's collections, each with its length and digest, and the aliases. It is written after all of
//! them, so a set that is there stands for archives that were. Where they are follows from the names in it, by the rules of places: a
//! set cannot point anywhere else. FORMAT.md has the fields. What a set lists is looked up here; it is restored by jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::SystemTime;

use icecore_archive::{ArchiveName, Manifest, Plan, Progress, Reader, Sha256Digest};
use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backups::{self, Verdict};
use super::naming::Place;
use super::share::Share;
use crate::error::{AppError, Kind, Result};
use crate::stores::{Store, StoreError, StoredArchive};
use crate::told::told;

/// The field `kind` of the subject of a set.
pub(crate) const SET_KIND: &str = "set";
/// How many archives are named that are not as noted.
const NAMED_MAX: usize = 10;

/// The backup of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    /// What the cluster is called here.
    pub(crate) cluster: String,
    /// The archives, by collection and shard.
    pub(crate) archives: Vec<Listed>,
    /// Alias to collection.
    pub(crate) aliases: BTreeMap<String, String>,
}

/// An archive that a set lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The collection.
    pub(crate) collection: String,
    /// The shard, if the collection was taken shard by shard.
    pub(crate) shard: Option<u32>,
    /// Its name in the store.
    pub(crate) name: ArchiveName,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// Of all its bytes.
    pub(crate) sha256: Sha256Digest,
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    /// Something else is where sets belong.
    #[error("{name} is not a set, which the backup of a whole cluster is")]
    NotSet {
        /// The archive.
        name: ArchiveName,
    },
    /// Its subject breaks a rule.
    #[error("the set {name} cannot be used: {reason}")]
    Rule {
        /// The set.
        name: ArchiveName,
        /// The rule.
        reason: String,
    },
    /// It is another one than was asked for.
    #[error("the set {name} has the SHA-256 {actual}, not {expected} as was noted or asked for")]
    OtherSet {
        /// The set.
        name: ArchiveName,
        /// What was asked for, or noted when it was made.
        expected: Sha256Digest,
        /// That of its bytes.
        actual: Sha256Digest,
    },
    /// An archive is gone.
    #[error("{name} of collection {collection:?} is not in the store")]
    Missing {
        /// The archive.
        name: ArchiveName,
        /// Its collection.
        collection: String,
    },
    /// An archive is another one.
    #[error("{name} of collection {collection:?} has {actual}, the set says {expected}")]
    Other {
        /// The archive.
        name: ArchiveName,
        /// Its collection.
        collection: String,
        /// What the store says.
        actual: String,
        /// What the set says.
        expected: String,
    },
    /// Not all archives are there.
    #[error("the set {name} is not whole, and nothing was changed: {reasons}")]
    NotWhole {
        /// The set.
        name: ArchiveName,
        /// What is wrong with its archives.
        reasons: String,
    },
    /// The engine makes collections of whole archives only.
    #[error("collection {collection:?} of the set {name} was archived shard by shard, and cannot be put together in the engine")]
    ByShards {
        /// The set.
        name: ArchiveName,
        /// The collection.
        collection: String,
    },
    /// A set would have an archive without a digest.
    #[error("the store has no digest of {name}, so no set can list it")]
    NoDigest {
        /// The archive.
        name: ArchiveName,
    },
    /// A restore has ended in the middle.
    #[error("{} ({step}; {before})", told(.error))]
    Stopped {
        /// Why.
        error: Box<AppError>,
        /// What was being done.
        step: String,
        /// What was done before.
        before: String,
    },
}

impl SetError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NotSet { .. } | Self::Rule { .. } | Self::OtherSet { .. } | Self::ByShards { .. } | Self::NoDigest { .. } => {
                Kind::InvalidInput
            }
            Self::Missing { .. } | Self::NotWhole { .. } => Kind::NotFound,
            Self::Other { .. } => Kind::Corrupt,
            Self::Stopped { error, .. } => error.kind(),
        }
    }
}

/// A subject as it is written, of which nothing was checked but its form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSet {
    kind: String,
    cluster: String,
    archives: Vec<RawListed>,
    aliases: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListed {
    collection: String,
    shard: Option<u32>,
    name: String,
    len: u64,
    sha256: String,
}

/// Whether a manifest is that of a set, sound or not.
pub(crate) fn is_set(manifest: &Manifest) -> bool {
    manifest.subject().get("kind").and_then(Value::as_str) == Some(SET_KIND)
}

impl Set {
    /// The archive of the set. Panics if it breaks a rule: whoever makes one has taken all names from places that have checked them.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let listed = |archive: &Listed| RawListed {
            collection: archive.collection.clone(),
            shard: archive.shard,
            name: archive.name.to_string(),
            len: archive.len,
            sha256: archive.sha256.to_string(),
        };
        let raw = RawSet {
            kind: SET_KIND.to_owned(),
            cluster: self.cluster.clone(),
            archives: self.archives.iter().map(listed).collect(),
            aliases: self.aliases.clone(),
        };
        let plan = Plan::new(serde_json::to_value(raw).map_err(AppError::Encode)?, Vec::new())?;
        assert_eq!(Self::of(plan.manifest()).as_ref(), Ok(self), "a set that no reader would take");
        Ok(plan)
    }

    /// The set of a manifest. The error is the rule that it breaks.
    pub(crate) fn of(manifest: &Manifest) -> Result<Self, String> {
        if !manifest.is_empty() {
            return Err("a set has no members".to_owned());
        }
        let raw = RawSet::deserialize(manifest.subject()).map_err(|error| error.to_string())?;
        if raw.kind != SET_KIND {
            return Err(format!("it is of {:?}", raw.kind));
        }
        let archives = raw.archives.into_iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        let set = Self { cluster: raw.cluster, archives, aliases: raw.aliases };
        set.check()?;
        Ok(set)
    }

    fn check(&self) -> Result<(), String> {
        self.place().dirs().map_err(|error| error.to_string())?;
        for archive in &self.archives {
            archive.place(&self.cluster).dirs().map_err(|error| error.to_string())?;
        }
        let key = |archive: &Listed| (archive.collection.clone(), archive.shard);
        for pair in self.archives.windows(2) {
            let [first, second] = pair else { continue };
            // A whole collection sorts before its shards, so that one of both kinds shows here.
            if key(first) >= key(second) || (first.collection == second.collection && first.shard.is_none()) {
                return Err(format!("{} of collection {:?} is not in order", second.name, second.collection));
            }
        }
        let collections: BTreeSet<&str> = self.collections().collect();
        match self.aliases.iter().find(|(_, collection)| !collections.contains(collection.as_str())) {
            Some((alias, collection)) => Err(format!("the alias {alias:?} is of {collection:?}, which is not in the set")),
            None => Ok(()),
        }
    }

    fn collections(&self) -> impl Iterator<Item = &str> {
        self.archives.iter().map(|archive| archive.collection.as_str())
    }

    /// Where it belongs.
    pub(crate) fn place(&self) -> Place {
        Place::Cluster(self.cluster.clone())
    }

    /// Bytes of all its archives.
    pub(crate) fn bytes(&self) -> u64 {
        self.archives.iter().map(|archive| archive.len).fold(0, u64::saturating_add)
    }

    /// What is wrong with its archives as the store shows them, without reading them.
    fn problems(&self, store: &dyn Store) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for archive in &self.archives {
            match archive.open(store, &self.cluster) {
                Ok(_) => {}
                Err(AppError::Set(error)) => found.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Fails unless the store has all its archives as they were noted.
    pub(crate) fn check_whole(&self, store: &dyn Store, name: &ArchiveName) -> Result<()> {
        let problems = self.problems(store)?;
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().checked_sub(NAMED_MAX).filter(|more| *more > 0);
        let mut reasons = problems.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join("; ");
        if let Some(more) = more {
            reasons.push_str(&format!("; and {more} more"));
        }
        Err(SetError::NotWhole { name: name.clone(), reasons }.into())
    }
}

impl Listed {
    /// What it is of.
    pub(crate) fn scope(&self) -> Scope {
        let collection = self.collection.clone();
        match self.shard {
            None => Scope::Collection(collection),
            Some(shard) => Scope::Shard { collection, shard },
        }
    }

    /// Where it is in the store.
    pub(crate) fn place(&self, cluster: &str) -> Place {
        Place::Elsewhere { cluster: cluster.to_owned(), collection: self.collection.clone(), shard: self.shard }
    }

    /// Opens it. Fails if the store has none of the name, or has noted another length or digest.
    pub(crate) fn open(&self, store: &dyn Store, cluster: &str) -> Result<StoredArchive> {
        let (name, collection) = (self.name.clone(), self.collection.clone());
        let stored = match store.open(&self.place(cluster), &self.name) {
            Err(StoreError::NotFound { .. }) => return Err(SetError::Missing { name, collection }.into()),
            stored => stored?,
        };
        let other = |actual: String, expected: String| SetError::Other { name, collection, actual, expected }.into();
        match stored.info.sha256 {
            _ if stored.info.size != self.len => Err(other(format!("{} bytes", stored.info.size), format!("{} bytes", self.len))),
            Some(actual) if actual != self.sha256 => Err(other(format!("the SHA-256 {actual}"), self.sha256.to_string())),
            None => Err(other("no digest beside it".to_owned(), self.sha256.to_string())),
            Some(_) => Ok(stored),
        }
    }
}

fn listed(raw: RawListed) -> Result<Listed, String> {
    let RawListed { collection, shard, name, len, sha256 } = raw;
    let digest = sha256.parse::<Sha256Digest>().ok().filter(|digest| digest.to_string() == sha256);
    let sha256 = digest.ok_or_else(|| format!("{sha256:?} is no SHA-256"))?;
    let name = name.parse().map_err(|_| format!("{name:?} is no name of an archive"))?;
    Ok(Listed { collection, shard, name, len, sha256 })
}

/// Opens a set of this cluster, all of whose bytes have this digest if one is given, and otherwise the one that the store has noted.
pub(crate) fn open(store: &dyn Store, cluster: &str, name: &ArchiveName, expected: Option<Sha256Digest>) -> Result<Set> {
    let stored = store.open(&Place::Cluster(cluster.to_owned()), name)?;
    let reader = Reader::from_file(stored.file.clone(), PathBuf::from(name.as_str()))?;
    if !is_set(reader.manifest()) {
        return Err(SetError::NotSet { name: name.clone() }.into());
    }
    // It is short, and all that is done with a cluster follows from it.
    let actual = backups::digest_of(stored.file.as_ref(), stored.info.size, &())?;
    if let Some(expected) = expected.or(stored.info.sha256).filter(|expected| *expected != actual) {
        return Err(SetError::OtherSet { name: name.clone(), expected, actual }.into());
    }
    let rule = |reason| SetError::Rule { name: name.clone(), reason };
    let set = Set::of(reader.manifest()).map_err(rule)?;
    if set.cluster != cluster {
        return Err(rule(format!("it is of the cluster {:?}, and lies where those of {cluster:?} are", set.cluster)).into());
    }
    Ok(set)
}

/// Reads a set and all that it lists through, beginning at `now`. What a store on another machine does not give is an error.
pub(crate) fn verify(
    store: &dyn Store,
    cluster: &str,
    name: &ArchiveName,
    now: SystemTime,
    progress: &dyn Progress,
) -> Result<Verdict> {
    let own = backups::verify(store, &Place::Cluster(cluster.to_owned()), name, now, &())?;
    if !matches!(own, Verdict::Sound) {
        return Ok(own);
    }
    let set = open(store, cluster, name, None)?;
    progress.start(set.bytes());
    let mut problems = set.problems(store)?;
    if problems.is_empty() {
        for archive in &set.archives {
            let share = Share::new(progress, archive.len);
            match backups::verify(store, &archive.place(&set.cluster), &archive.name, now, &share)? {
                Verdict::Sound => {}
                Verdict::Damaged { first: reason, .. } | Verdict::Unknown { reason } => {
                    problems.push(format!("{} of collection {:?}: {reason}", archive.name, archive.collection));
                }
            }
        }
    }
    let count = problems.len();
    Ok(problems.into_iter().next().map_or(Verdict::Sound, |first| Verdict::Damaged { count, first }))
}

#[cfg(test)]
mod tests;
