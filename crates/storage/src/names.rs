//! Which texts may name a collection or an alias. The one place where names are checked.
//!
//! Names never become paths inside the storage, but archives are kept in a directory of the collection's name, so everything
//! that could leave that directory, or collide in it, is refused here.

use crate::error::{Error, Result};

/// The longest name in characters (source: Qdrant's limit).
pub const NAME_LEN_MAX: usize = 255;

/// The longest name in bytes: what file systems allow for one directory.
const NAME_BYTES_MAX: usize = 255;

/// Checks that `name` can name a collection or an alias.
pub fn validate(name: &str) -> Result<()> {
    let refuse = |reason| Err(Error::InvalidName { name: name.to_owned(), reason });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.chars().count() > NAME_LEN_MAX || name.len() > NAME_BYTES_MAX {
        return refuse("it is longer than 255 bytes");
    }
    if name == "." || name == ".." {
        return refuse("it means a directory");
    }
    if name.chars().any(|character| matches!(character, '/' | '\\' | '\0') || character.is_control()) {
        return refuse("it contains a slash, a backslash or a control character");
    }
    if name.chars().any(|character| matches!(character, '<' | '>' | ':' | '"' | '|' | '?' | '*')) {
        return refuse("it contains one of < > : \" | ? *");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_names() {
        for name in ["a", "digits-copy", "Größe", "a b", "x.y", "..a", &"n".repeat(255)] {
            assert!(validate(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in ["", ".", "..", "a/b", "../x", "a\\b", "a\0b", "a\nb", "a:b", "*", &"n".repeat(256), &"ü".repeat(200)] {
            assert!(validate(name).is_err(), "{name}");
        }
    }
}
