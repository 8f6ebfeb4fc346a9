//! A value as it was written, before anyone knows what it has to be, and the strict ways to read it.
//!
//! Variables are always text, so text that spells a number or a switch is one. Nothing is rounded, cut or guessed.

use std::fmt;
use std::path::PathBuf;

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The path of the key with dots, such as `service.http_port`.
    pub(crate) key: String,
    /// The value as written.
    pub(crate) value: Raw,
    /// Where it was given.
    pub(crate) origin: Origin,
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// In a file.
    File(PathBuf),
    /// In an environment variable of this name.
    Variable(String),
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// Nothing.
    Null,
    /// A scalar, by its text.
    Scalar(String),
    /// A list.
    List(Vec<Raw>),
    /// A mapping inside of a list, in the order of its keys. Elsewhere mappings are keys with dots.
    Mapping(Vec<(String, Raw)>),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{path:?}"),
            Self::Variable(name) => write!(formatter, "the environment variable {name}"),
        }
    }
}

impl Raw {
    /// An integer within bounds.
    pub(crate) fn integer(&self, min: u64, max: u64) -> Result<u64, String> {
        let read = match self {
            Self::Scalar(text) => text.trim().parse().ok().filter(|number| (min..=max).contains(number)),
            Self::Null | Self::List(_) | Self::Mapping(_) => None,
        };
        read.ok_or_else(|| format!("{self} is not a whole number from {min} to {max}"))
    }

    /// `true` or `false`.
    pub(crate) fn switch(&self) -> Result<bool, String> {
        let text = match self {
            Self::Scalar(text) => text.trim().to_ascii_lowercase(),
            Self::Null | Self::List(_) | Self::Mapping(_) => String::new(),
        };
        match text.as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(format!("{self} is neither true nor false")),
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Scalar(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("{self} is not a text")),
        }
    }

    /// At least one text: a list of them, or one text with commas between them, which is all that a variable can hold.
    pub(crate) fn texts(&self) -> Result<Vec<&str>, String> {
        let texts: Vec<&str> = match self {
            Self::List(items) => items.iter().map(Self::text).collect::<Result<_, _>>()?,
            Self::Scalar(text) => text.split(',').collect(),
            Self::Null | Self::Mapping(_) => Vec::new(),
        };
        let texts: Vec<&str> = texts.into_iter().map(str::trim).collect();
        match texts.iter().any(|text| text.is_empty()) || texts.is_empty() {
            true => Err(format!("{self} is not a list of texts, none of them empty")),
            false => Ok(texts),
        }
    }

    /// Whether there is no value, or it is one of these words in any case.
    pub(crate) fn is_one_of(&self, words: &[&str]) -> bool {
        match self {
            Self::Null => true,
            Self::Scalar(text) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::List(_) | Self::Mapping(_) => false,
        }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("nothing"),
            Self::Scalar(text) => write!(formatter, "{text:?}"),
            Self::List(_) => formatter.write_str("a list"),
            Self::Mapping(_) => formatter.write_str("a mapping"),
        }
    }
}
