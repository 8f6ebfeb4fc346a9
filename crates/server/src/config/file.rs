//! Settings in a YAML file: nested mappings become keys with dots. Which keys exist is not decided here.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use yaml_rust2::{Yaml, YamlLoader};

use super::ConfigError;
use super::value::{Entry, Origin, Raw};

/// The longest file that is read, in bytes.
const FILE_LEN_MAX: u64 = 1024 * 1024;
/// The deepest nesting that is followed; no setting is that deep.
const DEPTH_MAX: usize = 16;

/// Reads a file that must exist. Symbolic links are followed: that is how files are mounted into containers.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let bytes = contents(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let syntax = |reason: String| ConfigError::Syntax { path: path.to_owned(), reason };
    let text = String::from_utf8(bytes)
        .map_err(|error| syntax(format!("not UTF-8 after {} bytes", error.utf8_error().valid_up_to())))?;
    let documents = YamlLoader::load_from_str(&text).map_err(|error| syntax(error.to_string()))?;
    let mut entries = Vec::new();
    match documents.as_slice() {
        [] => {}
        [root] => flatten(root, String::new(), &Origin::File(path.to_owned()), 0, &mut entries).map_err(syntax)?,
        many => return Err(syntax(format!("{} YAML documents, not one", many.len()))),
    }
    Ok(entries)
}

/// Reads a file if there is one.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<Vec<Entry>>, ConfigError> {
    match read(path) {
        Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {FILE_LEN_MAX} bytes")));
    }
    Ok(bytes)
}

fn flatten(value: &Yaml, key: String, origin: &Origin, depth: usize, entries: &mut Vec<Entry>) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("`{key}` is nested deeper than {DEPTH_MAX} levels"));
    }
    match value {
        Yaml::Hash(table) => {
            for (name, value) in table {
                let Some(name) = name.as_str() else {
                    return Err(format!("a key below `{key}` is not a text"));
                };
                let below = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                flatten(value, below, origin, depth + 1, entries)?;
            }
        }
        _ if key.is_empty() && !value.is_null() => return Err("it is not a mapping of keys to values".to_owned()),
        _ if key.is_empty() => {}
        _ => {
            let value = plain(value, depth).ok_or_else(|| format!("`{key}` is not a plain value"))?;
            entries.push(Entry { key, value, origin: origin.clone() });
        }
    }
    Ok(())
}

/// A value that is not a mapping of keys, or an item of a list.
fn plain(value: &Yaml, depth: usize) -> Option<Raw> {
    Some(match value {
        Yaml::Array(items) if depth < DEPTH_MAX => {
            Raw::List(items.iter().map(|item| plain(item, depth + 1)).collect::<Option<_>>()?)
        }
        Yaml::Hash(table) if depth < DEPTH_MAX => {
            let field = |(name, value): (&Yaml, &Yaml)| Some((name.as_str()?.to_owned(), plain(value, depth + 1)?));
            Raw::Mapping(table.iter().map(field).collect::<Option<_>>()?)
        }
        Yaml::Boolean(value) => Raw::Scalar(value.to_string()),
        Yaml::Integer(value) => Raw::Scalar(value.to_string()),
        Yaml::Real(text) | Yaml::String(text) => Raw::Scalar(text.clone()),
        Yaml::Null => Raw::Null,
        Yaml::Array(_) | Yaml::Hash(_) | Yaml::Alias(_) | Yaml::BadValue => return None,
    })
}
