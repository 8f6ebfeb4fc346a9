//! Member paths: the one place that decides which names may stand in an archive.
//!
//! A path that passes names a file below whatever directory it is joined to, in every tool: it is relative, has no empty, `.` or
//! `..` component, and is UTF-8 without characters that act on a terminal or reorder what is shown. Characters are bytes here:
//! nothing is normalised, so two spellings of one text are two paths. Where a member goes when it is unpacked is the caller's decision all the same.

use std::fmt;
use std::str::FromStr;

/// Longest path, in bytes.
pub const PATH_LEN_MAX: usize = 1024;

/// Longest component of a path, in bytes: what common file systems take.
pub const COMPONENT_LEN_MAX: usize = 255;

/// Paths that begin so belong to the format.
pub const RESERVED_PREFIX: &str = "icecore/";

/// The path of a member: relative, `/`-separated, without control characters and backslashes, not below `icecore/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberPath(String);

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathRule {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Longer than [`PATH_LEN_MAX`].
    #[error("it is longer than {PATH_LEN_MAX} bytes")]
    TooLong,
    /// Begins with `/`.
    #[error("it is absolute")]
    Absolute,
    /// `a//b`, or a slash at the end.
    #[error("it has an empty component")]
    EmptyComponent,
    /// `.` or `..`.
    #[error("it has a component `.` or `..`")]
    DotComponent,
    /// A component longer than [`COMPONENT_LEN_MAX`].
    #[error("it has a component longer than {COMPONENT_LEN_MAX} bytes")]
    LongComponent,
    /// A control character (of ASCII or of Latin-1), a separator of lines, an override of the direction of text, or a backslash.
    #[error("it has a character that controls how text is shown, or a backslash")]
    Character,
    /// Below `icecore/`, or `icecore` itself.
    #[error("`icecore` belongs to the format")]
    Reserved,
}

impl MemberPath {
    /// Checks a path.
    pub fn new(path: impl Into<String>) -> Result<Self, PathRule> {
        let path = path.into();
        check(&path)?;
        Ok(Self(path))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MemberPath {
    type Err = PathRule;

    fn from_str(path: &str) -> Result<Self, PathRule> {
        Self::new(path)
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Checks the rules of the type without making one.
pub(crate) fn check(path: &str) -> Result<(), PathRule> {
    if path.is_empty() {
        return Err(PathRule::Empty);
    }
    if path.len() > PATH_LEN_MAX {
        return Err(PathRule::TooLong);
    }
    if path.starts_with('/') {
        return Err(PathRule::Absolute);
    }
    if path.chars().any(is_forbidden) {
        return Err(PathRule::Character);
    }
    for component in path.split('/') {
        match component {
            "" => return Err(PathRule::EmptyComponent),
            "." | ".." => return Err(PathRule::DotComponent),
            _ if component.len() > COMPONENT_LEN_MAX => return Err(PathRule::LongComponent),
            _ => {}
        }
    }
    if path == RESERVED_PREFIX.trim_end_matches('/') || path.starts_with(RESERVED_PREFIX) {
        return Err(PathRule::Reserved);
    }
    Ok(())
}

/// Whether no path may have this character. U+2028 to U+202E separate lines and override the direction of text, U+2066 to U+2069
/// isolate it (Unicode Standard Annex 9): with them a path can be shown as another one.
fn is_forbidden(character: char) -> bool {
    character.is_control() || matches!(character, '\\' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "a",
            "a/b",
            "collections/0003/shards/0/segments/1f.seg",
            "..a",
            "a..",
            ".hidden",
            "a b",
            "icecore2/x",
            "\u{e9}",
            "e\u{301}",
            "\u{1f600}/\u{4e2d}",
        ] {
            assert_eq!(MemberPath::new(path).map(|path| path.to_string()), Ok(path.to_owned()));
        }
        assert!(MemberPath::new("d/".repeat(511) + "ab").is_ok());
    }

    #[test]
    fn each_rule_refuses() {
        let cases = [
            ("", PathRule::Empty),
            ("/a", PathRule::Absolute),
            ("a//b", PathRule::EmptyComponent),
            ("a/", PathRule::EmptyComponent),
            ("..", PathRule::DotComponent),
            ("a/../b", PathRule::DotComponent),
            ("./a", PathRule::DotComponent),
            ("a\\b", PathRule::Character),
            ("a\nb", PathRule::Character),
            ("a\0", PathRule::Character),
            ("\u{85}", PathRule::Character),
            ("\u{9f}", PathRule::Character),
            ("\u{2028}", PathRule::Character),
            ("a\u{202e}b", PathRule::Character),
            ("\u{2066}", PathRule::Character),
            ("\x7f", PathRule::Character),
            ("icecore", PathRule::Reserved),
            ("icecore/manifest.json", PathRule::Reserved),
        ];
        for (path, rule) in cases {
            assert_eq!(MemberPath::new(path), Err(rule), "{path:?}");
        }
        assert_eq!(MemberPath::new("x".repeat(256)), Err(PathRule::LongComponent));
        assert_eq!(MemberPath::new("\u{e9}".repeat(128)), Err(PathRule::LongComponent), "bytes count, not characters");
        assert_eq!(MemberPath::new("d/".repeat(512) + "a"), Err(PathRule::TooLong));
    }
}
