//! Paths of Qdrant's API, made of names that come from anywhere.
//!
//! A name becomes one segment of the path, whatever is in it: slashes are encoded, and the names that a path cannot hold, because
//! they mean the directory itself or the one above, name nothing.

use icecore_storage::Scope;
use url::Url;

use super::super::{ClusterError, Result};

/// The path of a scope's collection, or of nothing for everything.
pub(super) fn of_collection(name: &str) -> Result<Vec<String>> {
    if is_no_segment(name) {
        return Err(not_found(format!("Collection `{name}` doesn't exist!")));
    }
    Ok(vec!["collections".to_owned(), name.to_owned()])
}

/// The path of the snapshots of a scope.
pub(super) fn of_snapshots(scope: &Scope) -> Result<Vec<String>> {
    let mut segments = match scope {
        Scope::Storage => Vec::new(),
        Scope::Collection(collection) => of_collection(collection)?,
        Scope::Shard { collection, shard } => {
            let mut segments = of_collection(collection)?;
            segments.extend(["shards".to_owned(), shard.to_string()]);
            segments
        }
    };
    segments.push("snapshots".to_owned());
    Ok(segments)
}

/// The path of a snapshot of a scope.
pub(super) fn of_snapshot(scope: &Scope, name: &str) -> Result<Vec<String>> {
    if is_no_segment(name) {
        return Err(not_found(format!("Snapshot {name} not found")));
    }
    let mut segments = of_snapshots(scope)?;
    segments.push(name.to_owned());
    Ok(segments)
}

/// The URL of a path on a node.
pub(super) fn url(node: &Url, segments: &[String], query: &[(&str, &str)]) -> Url {
    let mut url = node.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn is_no_segment(name: &str) -> bool {
    matches!(name, "" | "." | "..")
}

fn not_found(text: String) -> ClusterError {
    ClusterError::Answer { status: 404, message: format!("Not found: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(scope: &Scope, name: &str) -> Result<String> {
        let node = Url::parse("http://h:1/base/").unwrap();
        Ok(url(&node, &of_snapshot(scope, name)?, &[("wait", "true")]).to_string())
    }

    #[test]
    fn every_name_is_one_segment_or_nothing() {
        let collection = |name: &str| Scope::Collection(name.to_owned());
        assert_eq!(path(&Scope::Storage, "s").unwrap(), "http://h:1/base/snapshots/s?wait=true");
        assert_eq!(path(&collection("c"), "s").unwrap(), "http://h:1/base/collections/c/snapshots/s?wait=true");
        let shard = Scope::Shard { collection: "a/../b".to_owned(), shard: 7 };
        assert_eq!(
            path(&shard, "x?y#z").unwrap(),
            "http://h:1/base/collections/a%2F..%2Fb/shards/7/snapshots/x%3Fy%23z?wait=true"
        );
        // An encoded dot is a dot to those who read URLs.
        assert!(path(&collection("%2e%2e"), "s").unwrap().contains("/%252e%252e/"));
        for name in ["", ".", ".."] {
            assert!(path(&collection(name), "s").unwrap_err().to_string().contains("doesn't exist"), "{name}");
            assert!(path(&collection("c"), name).unwrap_err().to_string().contains("not found"), "{name}");
        }
    }
}
