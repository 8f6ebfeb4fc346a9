//! What of an archive is wanted: which collections under which names, and so which members. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use icecore_archive::Manifest;
use icecore_storage::{Subject, SubjectCollection, SubjectKind};

use super::RestoreError;
use crate::settings;
use crate::usecases::sets;

/// What an archive is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// One collection of this name.
    Collection(String),
    /// Everything that is in the archive, under the names that are in it.
    Storage,
    /// One shard of a collection that exists.
    Shard {
        /// The collection's name.
        collection: String,
        /// The shard's number.
        shard: u32,
    },
}

/// A part of an archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection {
    /// The collections by the names that they get.
    pub(super) collections: Vec<(String, SubjectCollection)>,
    /// Alias to collection.
    pub(super) aliases: BTreeMap<String, String>,
    /// Bytes of data of the members that belong to the collections.
    pub(super) bytes: u64,
}

impl Selection {
    /// Whether a member belongs to one of the collections.
    pub(super) fn wants(&self, member: &str) -> bool {
        let shards = self.collections.iter().flat_map(|(_, collection)| &collection.shards);
        shards.into_iter().any(|shard| member.strip_prefix(shard.path.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// Selects what `target` needs of the archive called `label`.
pub(super) fn select(manifest: &Manifest, label: &Path, target: &Target) -> Result<Selection, RestoreError> {
    if sets::is_set(manifest) {
        return Err(RestoreError::Set { path: label.to_owned() });
    }
    let subject: Subject = serde_json::from_value(manifest.subject().clone())
        .map_err(|source| RestoreError::Subject { path: label.to_owned(), source })?;
    let mut selection = of_subject(subject, target).map_err(|refusal| refusal.at(label))?;
    for (_, from) in &selection.collections {
        settings::check_archived(&from.config, &from.payload_schema).map_err(|source| RestoreError::Settings {
            path: label.to_owned(),
            collection: from.name.clone(),
            source,
        })?;
    }
    selection.bytes = manifest.iter().filter(|member| selection.wants(member.path)).map(|member| member.len).sum();
    Ok(selection)
}

/// Why a sound archive is not what is wanted.
#[derive(Debug, PartialEq)]
enum Refusal {
    Kind { found: SubjectKind, wanted: SubjectKind },
    NotIn { name: String, present: Vec<String> },
    Shard { found: Vec<u32>, wanted: u32 },
    Collections { kind: SubjectKind, found: usize },
}

impl Refusal {
    fn at(self, label: &Path) -> RestoreError {
        let path = label.to_owned();
        match self {
            Self::Kind { found, wanted } => RestoreError::WrongKind { path, found: kind_name(found), wanted: kind_name(wanted) },
            Self::NotIn { name, present } => RestoreError::NotInArchive { path, name, present: present.join(", ") },
            Self::Shard { found, wanted } => RestoreError::OtherShard { path, found, wanted },
            Self::Collections { kind, found } => RestoreError::Collections { path, kind: kind_name(kind), found },
        }
    }
}

fn of_subject(subject: Subject, target: &Target) -> Result<Selection, Refusal> {
    let Subject { kind, collections, aliases } = subject;
    if kind != SubjectKind::Storage && collections.len() != 1 {
        return Err(Refusal::Collections { kind, found: collections.len() });
    }
    let named = |name: &String, collections: Vec<SubjectCollection>| {
        collections.into_iter().map(|collection| (name.clone(), collection)).collect()
    };
    let none = BTreeMap::new();
    let (collections, aliases) = match (target, kind) {
        (Target::Storage, SubjectKind::Storage) => {
            (collections.into_iter().map(|collection| (collection.name.clone(), collection)).collect(), aliases)
        }
        (Target::Collection(name), SubjectKind::Collection) => (named(name, collections), none),
        (Target::Collection(name), SubjectKind::Storage) => (vec![(name.clone(), one_of(collections, name)?)], none),
        (Target::Shard { collection, shard }, SubjectKind::Shard) => {
            let found: Vec<u32> = collections.iter().flat_map(|from| &from.shards).map(|shard| shard.number).collect();
            if found != [*shard] {
                return Err(Refusal::Shard { found, wanted: *shard });
            }
            (named(collection, collections), none)
        }
        (Target::Storage, found) => return Err(Refusal::Kind { found, wanted: SubjectKind::Storage }),
        (Target::Collection(_), found) => return Err(Refusal::Kind { found, wanted: SubjectKind::Collection }),
        (Target::Shard { .. }, found) => return Err(Refusal::Kind { found, wanted: SubjectKind::Shard }),
    };
    Ok(Selection { collections, aliases, bytes: 0 })
}

/// The collection of this name, or the only one.
fn one_of(collections: Vec<SubjectCollection>, name: &str) -> Result<SubjectCollection, Refusal> {
    let present: Vec<String> = collections.iter().map(|collection| collection.name.clone()).collect();
    let only = collections.len() == 1;
    let found = collections.into_iter().find(|collection| only || collection.name == name);
    found.ok_or(Refusal::NotIn { name: name.to_owned(), present })
}

fn kind_name(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Shard => "a shard",
        SubjectKind::Collection => "a collection",
        SubjectKind::Storage => "the whole storage",
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::{CollectionConfig, Lsn, SegmentId, SubjectShard};

    use super::*;

    fn collection(number: usize, name: &str) -> SubjectCollection {
        let shard = SubjectShard {
            number: 0,
            path: format!("collections/{number:04}/shards/0"),
            lsn: Lsn(1),
            flushed_lsn: Lsn(0),
            next_segment_id: SegmentId(1),
            segments: Vec::new(),
            wal: Vec::new(),
        };
        SubjectCollection {
            name: name.to_owned(),
            config: CollectionConfig {
                shard_number: 1,
                vectors: BTreeMap::new(),
                sparse_vectors: BTreeMap::new(),
                settings: serde_json::Value::Null,
            },
            payload_schema: BTreeMap::new(),
            shards: vec![shard],
        }
    }

    fn subject(kind: SubjectKind, names: &[&str]) -> Subject {
        let collections = names.iter().enumerate().map(|(number, name)| collection(number, name)).collect();
        let aliases = BTreeMap::from([("alias".to_owned(), "a".to_owned())]);
        Subject { kind, collections, aliases }
    }

    fn names(kind: SubjectKind, names: &[&str], target: &Target) -> Result<Vec<(String, String)>, Refusal> {
        let selection = of_subject(subject(kind, names), target)?;
        Ok(selection.collections.into_iter().map(|(name, from)| (name, from.name)).collect())
    }

    #[test]
    fn a_collection_gets_the_name_that_is_asked_for() {
        let target = Target::Collection("b".to_owned());
        let pair = |to: &str, from: &str| vec![(to.to_owned(), from.to_owned())];
        assert_eq!(names(SubjectKind::Collection, &["a"], &target), Ok(pair("b", "a")));
        assert_eq!(names(SubjectKind::Storage, &["a", "b"], &target), Ok(pair("b", "b")));
        assert_eq!(names(SubjectKind::Storage, &["a"], &target), Ok(pair("b", "a")));
    }

    #[test]
    fn wrong_kinds_and_missing_collections_are_refused() {
        let target = Target::Collection("x".to_owned());
        assert!(matches!(names(SubjectKind::Shard, &["a"], &target), Err(Refusal::Kind { .. })));
        assert!(matches!(names(SubjectKind::Collection, &["a"], &Target::Storage), Err(Refusal::Kind { .. })));
        let present = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(names(SubjectKind::Storage, &["a", "b"], &target), Err(Refusal::NotIn { name: "x".to_owned(), present }));
    }

    /// An archive of a collection with none in it was restored to nothing, and that was called a success.
    #[test]
    fn an_archive_of_a_collection_has_just_one() {
        let target = Target::Collection("x".to_owned());
        for found in [&[][..], &["a", "b"]] {
            for kind in [SubjectKind::Collection, SubjectKind::Shard] {
                assert_eq!(names(kind, found, &target), Err(Refusal::Collections { kind, found: found.len() }));
            }
        }
        assert_eq!(names(SubjectKind::Storage, &[], &Target::Storage), Ok(Vec::new()));
    }

    #[test]
    fn a_set_is_called_by_its_name() {
        let subject = serde_json::json!({"kind": "set", "cluster": "east", "archives": [], "aliases": {}});
        let manifest = Manifest::new(subject, []).unwrap();
        for target in [Target::Storage, Target::Collection("a".to_owned())] {
            let refused = select(&manifest, Path::new("x.snapshot"), &target).unwrap_err();
            assert!(matches!(refused, RestoreError::Set { .. }), "{refused}");
        }
    }

    #[test]
    fn a_shard_is_restored_to_its_own_number_only() {
        let target = |shard| Target::Shard { collection: "b".to_owned(), shard };
        assert_eq!(names(SubjectKind::Shard, &["a"], &target(0)), Ok(vec![("b".to_owned(), "a".to_owned())]));
        assert_eq!(names(SubjectKind::Shard, &["a"], &target(1)), Err(Refusal::Shard { found: vec![0], wanted: 1 }));
        assert!(matches!(names(SubjectKind::Collection, &["a"], &target(0)), Err(Refusal::Kind { .. })));
    }

    #[test]
    fn a_selection_wants_the_members_of_its_shards_only() {
        let target = Target::Collection("b".to_owned());
        let selection = of_subject(subject(SubjectKind::Storage, &["a", "b"]), &target).unwrap();
        assert!(selection.wants("collections/0001/shards/0/segments/1.seg") && selection.aliases.is_empty());
        for other in ["collections/0000/shards/0/wal/1.wal", "collections/0001/shards/01/x", "collections/0001/shards/0", "other"]
        {
            assert!(!selection.wants(other), "{other}");
        }
        let all = of_subject(subject(SubjectKind::Storage, &["a", "b"]), &Target::Storage).unwrap();
        assert!(all.wants("collections/0000/shards/0/wal/1.wal") && all.aliases.len() == 1);
    }
}
