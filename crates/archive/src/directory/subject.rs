//! What the manifest of an archived directory says beside its members: the `subject` of such an archive.
//!
//! Lists are sorted, so that equal directories make equal archives. What is read is checked before it is used: its paths obey the
//! rules of member paths, so none leads out of the directory that an archive is unpacked to.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::Error;
use crate::format::manifest::Manifest;
use crate::format::path;

/// The field `kind` of the subject of an archived directory.
pub const DIRECTORY_KIND: &str = "directory";

/// The subject of an archived directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectorySubject {
    /// Members whose owner may execute them, ascending by their bytes.
    pub executables: Vec<String>,
    /// Directories without anything in them, ascending by their bytes.
    pub directories: Vec<String>,
}

impl DirectorySubject {
    /// What stands in the manifest.
    pub fn to_value(&self) -> Value {
        json!({ "kind": DIRECTORY_KIND, "executables": self.executables, "directories": self.directories })
    }

    /// The subject of a manifest; `None` if the archive is of something else.
    ///
    /// Fails with [`Error::DirectorySubject`] and [`Error::DirectoryPath`] if it says that it is of a directory and breaks a rule.
    pub fn of(manifest: &Manifest) -> Result<Option<Self>, Error> {
        let value = manifest.subject();
        if value.get("kind").and_then(Value::as_str) != Some(DIRECTORY_KIND) {
            return Ok(None);
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(rename = "kind")]
            _kind: IgnoredAny,
            executables: Vec<String>,
            directories: Vec<String>,
        }
        let Fields { executables, directories, .. } = Fields::deserialize(value).map_err(Error::DirectorySubject)?;
        let subject = Self { executables, directories };
        for list in [&subject.executables, &subject.directories] {
            if let Some([_, second]) = list.array_windows().find(|[first, second]| first >= second) {
                return Err(refuse(second, "it is not in order"));
            }
        }
        if let Some(path) = subject.executables.iter().find(|path| manifest.find(path).is_none()) {
            return Err(refuse(path, "there is no such member to be executable"));
        }
        for directory in &subject.directories {
            path::check(directory).map_err(|rule| refuse(directory, rule))?;
            let slashes = directory.match_indices('/').filter_map(|(slash, _)| directory.get(..slash));
            if slashes.chain([directory.as_str()]).any(|path| manifest.find(path).is_some()) {
                return Err(refuse(directory, "a file stands in the way of this directory"));
            }
        }
        Ok(Some(subject))
    }
}

fn refuse(path: &str, reason: impl ToString) -> Error {
    Error::DirectoryPath { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use icecore_io::digest::{Crc32c, Sha256Digest};

    use super::*;
    use crate::format::manifest::Member;
    use crate::format::path::MemberPath;

    fn of(subject: Value) -> Result<Option<DirectorySubject>, Error> {
        let member = |path| Member {
            path: MemberPath::new(path).unwrap(),
            len: 0,
            sha256: Sha256Digest::of(b""),
            crc32c: Crc32c::default(),
        };
        DirectorySubject::of(&Manifest::new(subject, ["a", "b/c"].map(member)).unwrap())
    }

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        let subject = DirectorySubject { executables: vec!["b/c".into()], directories: vec!["b/d".into(), "e/f".into()] };
        let value = subject.to_value();
        assert_eq!(value, json!({"kind": "directory", "executables": ["b/c"], "directories": ["b/d", "e/f"]}));
        assert_eq!(of(value).unwrap(), Some(subject));
        for other in [json!(null), json!({}), json!({"kind": "collection"}), json!([{"kind": "directory"}])] {
            assert_eq!(of(other).unwrap(), None);
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let with = |executables: Value, directories: Value| {
            of(json!({"kind": "directory", "executables": executables, "directories": directories}))
        };
        assert!(with(json!(["a", "b/c"]), json!(["b/d"])).is_ok());
        for executables in [json!(["b/c", "a"]), json!(["a", "a"]), json!(["b"]), json!(["x"]), json!([1]), json!(null)] {
            assert!(with(executables.clone(), json!([])).is_err(), "{executables}");
        }
        for directory in ["../x", "/x", "", "x/", "x/./y", "x\n", "icecore", "a", "a/x", "b/c/d"] {
            assert!(matches!(with(json!([]), json!([directory])), Err(Error::DirectoryPath { .. })), "{directory}");
        }
        assert!(with(json!([]), json!(["y", "x"])).is_err());
        assert!(of(json!({"kind": "directory", "executables": [], "directories": [], "more": 1})).is_err());
        assert!(of(json!({"kind": "directory"})).is_err());
    }
}
