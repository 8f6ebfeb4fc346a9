//! The text of a path into a payload: `a`, `a.b`, `a.b[].c`, `a[0]`, `"key with.dot".b`.
//!
//! A path begins with a key. A key without quotes has letters, digits, `_` and `-`; any other stands in double quotes, where
//! neither a quote nor a backslash can occur (source: Qdrant's json_path/parse.rs). What a path leads to is in the parent's
//! `walk`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into the value of a key of an object.
    Key(String),
    /// Into one element of a list, counted from 0.
    Index(u64),
    /// Into every element of a list.
    Every,
}

/// A path; its first step is a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JsonPath {
    first: String,
    rest: Vec<Step>,
}

/// A text that is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid json path: '{text}' ({reason} at byte {offset})")]
pub struct InvalidPath {
    /// The text.
    pub text: String,
    /// Where the first thing stands that does not belong there.
    pub offset: usize,
    /// What was expected there.
    pub reason: &'static str,
}

impl JsonPath {
    /// The key of the payload that the path begins with.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// The steps after the first key.
    pub fn rest(&self) -> &[Step] {
        &self.rest
    }

    /// This path into the elements of a list: `a` becomes `a[]`, `a[]` stays.
    #[must_use]
    pub fn elements(mut self) -> Self {
        if self.rest.last() != Some(&Step::Every) {
            self.rest.push(Step::Every);
        }
        self
    }
}

/// Whether a character may stand in a key without quotes.
fn is_bare(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '-'
}

/// Splits a key from the front of `rest`, which is what is left of the text.
fn key(rest: &str) -> Result<(String, &str), &'static str> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let end = quoted.find(['"', '\\']).ok_or("a closing quote is missing")?;
        let (key, after) = quoted.split_at(end);
        let after = after.strip_prefix('"').ok_or("a backslash cannot stand in a key")?;
        return Ok((key.to_owned(), after));
    }
    let (key, after) = rest.split_at(rest.find(|character| !is_bare(character)).unwrap_or(rest.len()));
    if key.is_empty() { Err("a key is expected") } else { Ok((key.to_owned(), after)) }
}

/// Splits `[]` or `[number]` from the front, of which the opening bracket is already gone.
fn index(rest: &str) -> Result<(Step, &str), &'static str> {
    let (digits, after) = rest.split_once(']').ok_or("a closing bracket is missing")?;
    if digits.is_empty() {
        return Ok((Step::Every, after));
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a number or a closing bracket is expected");
    }
    let index = digits.parse().map_err(|_| "the number is larger than any index")?;
    Ok((Step::Index(index), after))
}

impl FromStr for JsonPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |rest: &str, reason| InvalidPath { text: text.to_owned(), offset: text.len() - rest.len(), reason };
        let (first, mut left) = key(text).map_err(|reason| invalid(text, reason))?;
        let mut rest = Vec::new();
        while !left.is_empty() {
            if let Some(after) = left.strip_prefix('.') {
                let (key, after) = key(after).map_err(|reason| invalid(after, reason))?;
                rest.push(Step::Key(key));
                left = after;
            } else if let Some(after) = left.strip_prefix('[') {
                let (step, after) = index(after).map_err(|reason| invalid(after, reason))?;
                rest.push(step);
                left = after;
            } else {
                return Err(invalid(left, "a dot or an opening bracket is expected"));
            }
        }
        Ok(Self { first, rest })
    }
}

fn write_key(formatter: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    if !key.is_empty() && key.chars().all(is_bare) { formatter.write_str(key) } else { write!(formatter, "\"{key}\"") }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(formatter, &self.first)?;
        for step in &self.rest {
            match step {
                Step::Key(key) => {
                    formatter.write_str(".")?;
                    write_key(formatter, key)?;
                }
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Every => formatter.write_str("[]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        // Source: the engine of qdrant-edge accepts all of these.
        for text in [
            "a",
            "a.b",
            "a.b[].c",
            "a[0]",
            "a[][1].b",
            "\"a.b\".c",
            "a.\"b c\"[]",
            "\"\"",
            "a.\"\"",
            "é-_",
            "²",
            "a٣",
            "a[18446744073709551615]",
        ] {
            let path: JsonPath = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
        }
        assert_eq!("a[01]".parse::<JsonPath>().unwrap().to_string(), "a[1]");
        assert_eq!("\"a\"".parse::<JsonPath>().unwrap().to_string(), "a");
    }

    #[test]
    fn the_steps_are_what_the_text_says() {
        let path: JsonPath = "foo[1].bar-baz[].\"qux[.]quux\"".parse().unwrap();
        assert_eq!(path.first(), "foo");
        assert_eq!(path.rest(), [Step::Index(1), Step::Key("bar-baz".into()), Step::Every, Step::Key("qux[.]quux".into())]);
    }

    #[test]
    fn texts_that_are_no_paths_are_refused_with_the_place() {
        // Source: the engine of qdrant-edge refuses all of these.
        let cases = [
            ("", 0),
            (".a", 0),
            ("[0]", 0),
            ("a.", 2),
            ("a..b", 2),
            ("a b", 1),
            ("a[", 2),
            ("a[-1]", 2),
            ("a[ 1]", 2),
            ("a[x]", 2),
            ("a[1]b", 4),
            ("\"a", 0),
            ("\"a\"b", 3),
            ("\"a\\b\"", 0),
            ("a[18446744073709551616]", 2),
            ("a[٣]", 2),
            ("a]", 1),
        ];
        for (text, offset) in cases {
            assert_eq!(text.parse::<JsonPath>().map_err(|error| error.offset), Err(offset), "{text}");
        }
        assert_eq!(
            "a b".parse::<JsonPath>().unwrap_err().to_string(),
            "Invalid json path: 'a b' (a dot or an opening bracket is expected at byte 1)"
        );
    }

    #[test]
    fn elements_are_added_once() {
        for (text, expected) in [("a", "a[]"), ("a[]", "a[]"), ("a[0]", "a[0][]"), ("a.b", "a.b[]")] {
            assert_eq!(text.parse::<JsonPath>().unwrap().elements().to_string(), expected);
        }
    }
}
