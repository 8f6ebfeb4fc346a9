//! An object of a bucket by its URL, `s3://bucket/key`.
//!
//! The key is what the path says after percent signs are decoded. Nothing else may stand in the URL: credentials are those of the
//! configuration, and a query would be lost in silence.

use std::fmt;

use object_store::path::Path;
use url::Url;

/// The scheme of these URLs.
pub(crate) const SCHEME: &str = "s3";

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectAddress {
    /// The bucket.
    pub(crate) bucket: String,
    /// The key, with no slash at either end.
    pub(crate) key: String,
    /// The path of the URL, as it has to be written.
    path: String,
}

impl ObjectAddress {
    /// What the URL names, or why it names nothing.
    pub(crate) fn parse(url: &Url) -> Result<Self, &'static str> {
        if url.scheme() != SCHEME {
            return Err("its scheme is not s3");
        }
        if !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
            return Err("it must not have a user, a password or a port: the configuration has them");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it must not have a query or a fragment; in a key, `?` is written %3F and `#` %23");
        }
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or("it names no bucket")?;
        let key = Path::from_url_path(url.path()).map_err(|_| "its path is not a key")?;
        if key.is_root() || url.path().ends_with('/') {
            return Err("it names no object");
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_string(), path: url.path().to_owned() })
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}://{}{}", self.bucket, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ObjectAddress, &'static str> {
        ObjectAddress::parse(&Url::parse(text).unwrap())
    }

    #[test]
    fn a_url_names_a_bucket_and_a_key() {
        for (text, bucket, key) in [
            ("s3://backups/c/a.snapshot", "backups", "c/a.snapshot"),
            ("s3://b/a%20b/%3F.snapshot", "b", "a b/?.snapshot"),
            ("s3://b/a b/+.snapshot", "b", "a b/+.snapshot"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!((address.bucket.as_str(), address.key.as_str()), (bucket, key));
            assert_eq!(parse(&address.to_string()).unwrap(), address, "it is written as it is read");
        }
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for text in [
            "s3://",
            "s3:///a",
            "s3://b",
            "s3://b/",
            "s3://b/a/",
            "s3://b//a",
            "s3://b/a%2F..%2Fc",
            "s3://b/a?x",
            "s3://b/a#x",
            "s3://u@b/a",
            "s3://u:p@b/a",
            "s3://b:9/a",
            "http://b/a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
