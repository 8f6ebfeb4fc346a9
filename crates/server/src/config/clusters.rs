//! The list `clusters`: what each item may say.
//!
//! An item is a mapping, and each of its keys is known or an error. Nothing secret gets into a message; a URL with a user or a
//! query is refused, so that URLs can be shown.

use std::path::PathBuf;

use url::Url;

use super::keys;
use super::model::ClusterSettings;
use super::value::Raw;

/// The name of the engine inside this server, which no cluster elsewhere can have.
pub(crate) const EMBEDDED: &str = "embedded";
/// The longest name, in characters, all of which are ASCII. The names of archives contain it whole, so they have to have room for it.
pub(crate) const CLUSTER_NAME_LEN_MAX: usize = 64;

/// Reads the list.
pub(super) fn read(value: &Raw) -> Result<Vec<ClusterSettings>, String> {
    let items = match value {
        Raw::Null => &[][..],
        Raw::List(items) => items.as_slice(),
        other => return Err(format!("{other} is not a list of clusters")),
    };
    let mut clusters: Vec<ClusterSettings> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let cluster = cluster(item).map_err(|reason| format!("item {}: {reason}", index + 1))?;
        if clusters.iter().any(|other| other.name == cluster.name) {
            return Err(format!("item {}: there is another cluster named {:?}", index + 1, cluster.name));
        }
        clusters.push(cluster);
    }
    Ok(clusters)
}

fn cluster(item: &Raw) -> Result<ClusterSettings, String> {
    let Raw::Mapping(fields) = item else { return Err(format!("{item} is not a mapping with `name` and `urls`")) };
    let (mut name, mut urls, mut api_key, mut ca_cert) = (None, None, None, None);
    for (key, value) in fields {
        let at = |reason: String| format!("`{key}`: {reason}");
        match key.as_str() {
            "name" => name = Some(checked_name(value).map_err(at)?),
            "urls" => urls = Some(checked_urls(value).map_err(at)?),
            "api_key" => api_key = keys::key(value).map_err(at)?,
            "tls" => ca_cert = tls(value).map_err(at)?,
            _ => return Err(format!("unknown key `{key}`")),
        }
    }
    let missing = |key: &str| format!("`{key}` is missing");
    Ok(ClusterSettings {
        name: name.ok_or_else(|| missing("name"))?,
        urls: urls.ok_or_else(|| missing("urls"))?,
        api_key,
        ca_cert,
    })
}

fn checked_name(value: &Raw) -> Result<String, String> {
    let name = value.text()?;
    let known = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    match name {
        EMBEDDED => Err(format!("{EMBEDDED:?} is the engine inside this server; choose another name")),
        _ if name.len() > CLUSTER_NAME_LEN_MAX
            || !name.chars().all(known)
            || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) =>
        {
            Err(format!(
                "{name:?} is not a name: up to {CLUSTER_NAME_LEN_MAX} letters, digits, `-`, `_` and `.`, the first a letter or digit"
            ))
        }
        _ => Ok(name.to_owned()),
    }
}

fn checked_urls(value: &Raw) -> Result<Vec<Url>, String> {
    value
        .texts()?
        .into_iter()
        .enumerate()
        .map(|(index, text)| url(text).map_err(|reason| format!("URL {}: {reason}", index + 1)))
        .collect()
}

/// Its text is not shown: it may hold a password.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("its scheme is neither `http` nor `https`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user or a password; give the key as `api_key`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment, which an address of a node has not".to_owned());
    }
    Ok(url)
}

fn tls(value: &Raw) -> Result<Option<PathBuf>, String> {
    let Raw::Mapping(fields) = value else { return Err(format!("{value} is not a mapping with `ca_cert`")) };
    let mut ca_cert = None;
    for (key, value) in fields {
        match key.as_str() {
            "ca_cert" => ca_cert = Some(PathBuf::from(value.text().map_err(|reason| format!("`{key}`: {reason}"))?)),
            _ => return Err(format!("unknown key `{key}`")),
        }
    }
    Ok(ca_cert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn text(text: &str) -> Raw {
        Raw::Scalar(text.to_owned())
    }

    fn item(fields: &[(&str, Raw)]) -> Raw {
        Raw::Mapping(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn error(items: &[Raw]) -> String {
        read(&Raw::List(items.to_vec())).unwrap_err()
    }

    #[test]
    fn a_cluster_has_a_name_and_urls_and_may_have_a_key_and_a_certificate() {
        let tls = item(&[("ca_cert", text("/etc/ca.pem"))]);
        let full = item(&[
            ("name", text("east.1")),
            ("urls", text("https://a:6333, http://b")),
            ("api_key", text("hush")),
            ("tls", tls),
        ]);
        let plain = item(&[("name", text("b")), ("urls", Raw::List(vec![text("http://b/qdrant")]))]);
        let read = read(&Raw::List(vec![full, plain])).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].name.as_str(), read[0].urls.len(), &read[0].api_key), ("east.1", 2, &Some(Secret::new("hush"))));
        assert_eq!(read[0].ca_cert.as_deref(), Some("/etc/ca.pem".as_ref()));
        assert_eq!((read[1].urls[0].as_str(), &read[1].api_key, &read[1].ca_cert), ("http://b/qdrant", &None, &None));
        assert!(!format!("{read:?}").contains("hush"));
    }

    #[test]
    fn names_are_checked_and_distinct() {
        let urls = || ("urls", text("http://a"));
        for wrong in ["embedded", "-a", ".a", "a b", "a/b", "ä", &"n".repeat(65)] {
            assert!(error(&[item(&[("name", text(wrong)), urls()])]).starts_with("item 1: `name`: "), "{wrong}");
        }
        let twice = item(&[("name", text("a")), urls()]);
        assert_eq!(error(&[twice.clone(), twice]), "item 2: there is another cluster named \"a\"");
    }

    #[test]
    fn what_is_missing_or_unknown_or_no_address_is_refused_without_its_secrets() {
        assert_eq!(error(&[item(&[("urls", text("http://a"))])]), "item 1: `name` is missing");
        assert_eq!(error(&[item(&[("name", text("a"))])]), "item 1: `urls` is missing");
        assert_eq!(error(&[item(&[("nam", text("a"))])]), "item 1: unknown key `nam`");
        assert!(error(&[text("http://a")]).contains("is not a mapping"));
        let tls = item(&[("insecure", text("true"))]);
        assert_eq!(error(&[item(&[("tls", tls)])]), "item 1: `tls`: unknown key `insecure`");
        for wrong in ["ftp://a", "a:6333", "http://user:hush@a", "http://hush@a", "http://a/?api-key=hush", "http://a#hush", ""] {
            let error = error(&[item(&[("name", text("a")), ("urls", text(wrong))])]);
            assert!(error.starts_with("item 1: `urls`: ") && !error.contains("hush"), "{wrong}: {error}");
        }
    }
}
