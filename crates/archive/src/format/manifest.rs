//! The manifest: which members an archive has, their digests, and the caller's subject.
//!
//! A manifest has exactly one byte form ([`Manifest::to_bytes`]), and [`Manifest::parse`] accepts no other, so equal contents
//! have equal digests. The members are kept in one table of fixed-size rows beside one string of all paths, because there may be
//! a million of them. What the subject means is the caller's business; it is only kept in order (keys sorted) and bounded in depth.

use std::cmp::Ordering;
use std::io::{self, Write};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::json::{Compare, within_depth, write_sorted};
use super::layout::{MANIFEST_LEN_MAX, MEMBERS_MAX, SUBJECT_DEPTH_MAX};
use super::path::MemberPath;
use super::records::Records;
use super::version::LAYOUT;
use crate::Error;
use icecore_io::digest::{Crc32c, Sha256Digest};

/// A member as the caller plans it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive.
    pub path: MemberPath,
    /// Length of its data in bytes.
    pub len: u64,
    /// Digest of its data.
    pub sha256: Sha256Digest,
    /// Checksum of its data.
    pub crc32c: Crc32c,
}

/// A member of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRef<'a> {
    /// Its path, which obeys the rules of [`MemberPath`].
    pub path: &'a str,
    /// Length of its data in bytes.
    pub len: u64,
    /// Digest of its data.
    pub sha256: Sha256Digest,
    /// Checksum of its data.
    pub crc32c: Crc32c,
}

/// The contents of `icecore/manifest.json`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    rows: Vec<Row>,
    paths: String,
    /// Row numbers in the order of [`compare_paths`].
    by_path: Vec<u32>,
    subject: Value,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    path_end: u32,
    crc32c: Crc32c,
    len: u64,
    sha256: Sha256Digest,
}

/// Why bytes are not a manifest.
#[derive(Debug)]
pub(crate) enum ParseError {
    Layout(u64),
    Json(serde_json::Error),
    Form(u64),
    Rule(Error),
}

impl Manifest {
    /// A manifest of these members, in this order.
    ///
    /// Fails on more than [`MEMBERS_MAX`] members, a path that occurs twice or is a directory of another, and a subject nested
    /// deeper than [`SUBJECT_DEPTH_MAX`].
    pub fn new(subject: Value, members: impl IntoIterator<Item = Member>) -> Result<Self, Error> {
        let mut manifest = Self { subject, ..Self::default() };
        for member in members {
            manifest.push(member.path.as_str(), member.len, member.sha256, member.crc32c)?;
        }
        manifest.index()?;
        Ok(manifest)
    }

    /// Reads the canonical form. The layout version is looked at before anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        #[derive(Deserialize)]
        struct Version {
            layout: u64,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(ParseError::Json)?;
        if version.layout != LAYOUT {
            return Err(ParseError::Layout(version.layout));
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            #[serde(rename = "layout")]
            _layout: IgnoredAny,
            members: Records,
            subject: Value,
        }
        let whole: Whole = serde_json::from_slice(bytes).map_err(ParseError::Json)?;
        let mut manifest = whole.members.0;
        manifest.subject = whole.subject;
        manifest.index().map_err(ParseError::Rule)?;
        let mut compare = Compare::new(bytes);
        if manifest.write_to(&mut compare).is_err() || !compare.is_at_end() {
            return Err(ParseError::Form(compare.offset()));
        }
        Ok(manifest)
    }

    /// The canonical form: fields in fixed order, one line a member, the subject's keys sorted, a newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.write_to(&mut bytes);
        assert!(written.is_ok(), "writing to memory cannot fail");
        bytes
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A member by its position in the archive.
    pub fn get(&self, index: usize) -> Option<MemberRef<'_>> {
        let row = self.rows.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.rows.get(before)?.path_end,
            None => 0,
        };
        let path = self.paths.get(start as usize..row.path_end as usize)?;
        Some(MemberRef { path, len: row.len, sha256: row.sha256, crc32c: row.crc32c })
    }

    /// The members in the order of the archive.
    pub fn iter(&self) -> impl Iterator<Item = MemberRef<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The position of the member with this path.
    pub fn find(&self, path: &str) -> Option<usize> {
        let at = self.by_path.binary_search_by(|row| compare_paths(self.path(*row), path)).ok()?;
        self.by_path.get(at).map(|row| *row as usize)
    }

    /// The caller's part.
    pub fn subject(&self) -> &Value {
        &self.subject
    }

    fn path(&self, row: u32) -> &str {
        self.get(row as usize).map_or("", |member| member.path)
    }

    pub(super) fn push(&mut self, path: &str, len: u64, sha256: Sha256Digest, crc32c: Crc32c) -> Result<(), Error> {
        let count = self.rows.len() as u64 + 1;
        if count > MEMBERS_MAX {
            return Err(Error::TooManyMembers { count, max: MEMBERS_MAX });
        }
        let end = self.paths.len() + path.len();
        let path_end = match u32::try_from(end) {
            Ok(path_end) if u64::from(path_end) <= MANIFEST_LEN_MAX => path_end,
            _ => {
                return Err(Error::ManifestTooLong { len: end as u64, max: MANIFEST_LEN_MAX });
            }
        };
        self.paths.push_str(path);
        self.rows.push(Row { path_end, crc32c, len, sha256 });
        Ok(())
    }

    /// Sorts the paths and checks what holds between members; a file that is also a directory stands right before what is in it.
    fn index(&mut self) -> Result<(), Error> {
        if !within_depth(&self.subject, SUBJECT_DEPTH_MAX) {
            return Err(Error::SubjectTooDeep { max: SUBJECT_DEPTH_MAX });
        }
        let mut by_path: Vec<u32> = (0u32..).take(self.rows.len()).collect();
        by_path.sort_unstable_by(|a, b| compare_paths(self.path(*a), self.path(*b)));
        for pair in by_path.windows(2) {
            let &[first, second] = pair else { continue };
            let (path, below) = (self.path(first), self.path(second));
            match below.strip_prefix(path) {
                Some("") => return Err(Error::DuplicatePath { path: path.to_owned() }),
                Some(rest) if rest.starts_with('/') => {
                    return Err(Error::FileAndDirectory { path: path.to_owned(), below: below.to_owned() });
                }
                _ => {}
            }
        }
        self.by_path = by_path;
        Ok(())
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{{\"layout\":{LAYOUT},\"members\":[")?;
        for (index, member) in self.iter().enumerate() {
            out.write_all(if index == 0 { b"\n{\"path\":" } else { b",\n{\"path\":" })?;
            serde_json::to_writer(&mut *out, member.path)?;
            write!(out, ",\"len\":{},\"sha256\":\"{}\",\"crc32c\":\"{}\"}}", member.len, member.sha256, member.crc32c)?;
        }
        out.write_all(b"\n],\"subject\":")?;
        write_sorted(out, &self.subject)?;
        out.write_all(b"}\n")
    }
}

/// Orders paths by bytes with `/` before everything else, so that a directory's contents follow its name at once.
fn compare_paths(a: &str, b: &str) -> Ordering {
    let key = |byte: u8| if byte == b'/' { 0 } else { byte };
    a.bytes().map(key).cmp(b.bytes().map(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(path: &str, data: &[u8]) -> Member {
        let path = MemberPath::new(path).unwrap();
        Member { path, len: data.len() as u64, sha256: Sha256Digest::of(data), crc32c: Crc32c::of(data) }
    }

    #[test]
    fn the_canonical_form_is_this_one() {
        let manifest =
            Manifest::new(json!({"b": [1, 2.5, null], "a": "\u{e9}\n"}), [member("x\"y", b"1"), member("d/z", b"")]).unwrap();
        let expected = concat!(
            "{\"layout\":1,\"members\":[\n",
            "{\"path\":\"x\\\"y\",\"len\":1,\"sha256\":\"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b\",\"crc32c\":\"90f599e3\"},\n",
            "{\"path\":\"d/z\",\"len\":0,\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"crc32c\":\"00000000\"}\n",
            "],\"subject\":{\"a\":\"\u{e9}\\n\",\"b\":[1,2.5,null]}}\n",
        );
        assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), expected);
        assert_eq!(Manifest::parse(expected.as_bytes()).unwrap(), manifest);
        assert_eq!((manifest.find("d/z"), manifest.find("d"), manifest.find("x\"y")), (Some(1), None, Some(0)));
    }

    #[test]
    fn other_spellings_of_the_same_contents_are_refused() {
        let bytes = Manifest::new(json!({"a": 1}), [member("x", b"1")]).unwrap().to_bytes();
        let text = String::from_utf8(bytes).unwrap();
        for changed in [text.replace("{\"a\":1}", "{\"a\": 1}"), text.clone() + "\n", text.replace("\"x\"", "\"\\u0078\"")] {
            assert!(matches!(Manifest::parse(changed.as_bytes()), Err(ParseError::Form(_))), "{changed}");
        }
        let cut = text.trim_end();
        assert!(matches!(Manifest::parse(cut.as_bytes()), Err(ParseError::Form(offset)) if offset == cut.len() as u64));
        assert!(matches!(Manifest::parse(text.replace("\"layout\":1", "\"layout\":99").as_bytes()), Err(ParseError::Layout(99))));
        assert!(matches!(Manifest::parse(text.replace("\"len\"", "\"size\"").as_bytes()), Err(ParseError::Json(_))));
        assert!(matches!(Manifest::parse(text.replace("\"x\"", "\"../x\"").as_bytes()), Err(ParseError::Json(_))));
    }

    #[test]
    fn members_must_not_collide() {
        let new = |paths: &[&str]| Manifest::new(Value::Null, paths.iter().map(|path| member(path, b"")));
        assert!(matches!(new(&["a", "b", "a"]), Err(Error::DuplicatePath { path }) if path == "a"));
        // `a!` sorts between `a` and `a/b` byte by byte, and must not hide the collision.
        assert!(
            matches!(new(&["a/b", "a!", "a"]), Err(Error::FileAndDirectory { path, below }) if path == "a" && below == "a/b")
        );
        assert!(new(&["ab", "a/b", "a!", "a0"]).is_ok());
    }

    #[test]
    fn the_subject_is_bounded_in_depth() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let deepest = Manifest::new(nested(SUBJECT_DEPTH_MAX), []).unwrap();
        assert_eq!(Manifest::parse(&deepest.to_bytes()).unwrap(), deepest);
        assert!(matches!(Manifest::new(nested(SUBJECT_DEPTH_MAX + 1), []), Err(Error::SubjectTooDeep { .. })));
    }

    #[test]
    fn hostile_nesting_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(1_000_000);
        assert!(matches!(Manifest::parse(deep.as_bytes()), Err(ParseError::Json(_))));
        let deep = format!("{{\"layout\":1,\"members\":[\n],\"subject\":{deep}");
        assert!(matches!(Manifest::parse(deep.as_bytes()), Err(ParseError::Json(_))));
    }
}
