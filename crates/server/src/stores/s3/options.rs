//! Which bucket, where, and with which credentials.
//!
//! What is not given is taken from the environment, as Amazon's own tools name it (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, …; roles of
//! pods and machines too). A given pair of keys is never mixed with a token from there.

use std::ffi::OsString;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

use crate::config::Secret;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may take with its body: a part of 8 MiB at 30 KB/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// Times that a request is sent again after a failure that may pass: half a minute with these pauses, in which a distributed store has
/// found out that one of its nodes is gone.
const RETRIES_MAX: usize = 12;
/// The same for a first look, whose failure somebody waits for.
const RETRIES_OF_A_LOOK: usize = 3;
/// After this long, nothing is sent again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);
/// The first pause; each further one is at random between this and [`BACKOFF_GROWTH`] times the one before.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_GROWTH: f64 = 3.0;
/// The longest such pause.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A bucket and the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct S3Options {
    /// The server's URL; without it Amazon's for the region. Plain HTTP only if it says `http`.
    pub(crate) endpoint: Option<String>,
    /// The bucket, which has to exist.
    pub(crate) bucket: String,
    /// Its region; without it that of the environment, else `us-east-1`.
    pub(crate) region: Option<String>,
    /// The access key; without both keys, the credentials of the environment.
    pub(crate) access_key: Option<Secret>,
    /// The secret key that belongs to it.
    pub(crate) secret_key: Option<Secret>,
    /// What all keys begin with: parts of a path without a slash at either end, or nothing.
    pub(crate) prefix: String,
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("S3: {0}")]
pub(crate) struct OptionsError(pub(super) String);

impl S3Options {
    /// Whether a store can be made of them, with what the environment adds.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        self.key_prefix()?;
        self.client(&self.bucket).map(drop)
    }

    /// The prefix as it stands before keys: empty, or with a slash at its end.
    pub(super) fn key_prefix(&self) -> Result<String, OptionsError> {
        let prefix = self.prefix.trim_matches('/');
        if prefix.is_empty() {
            return Ok(String::new());
        }
        let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
        match prefix.split('/').all(sound) && prefix.len() <= 255 {
            true => Ok(format!("{prefix}/")),
            false => Err(OptionsError(format!("the prefix {prefix:?} is not a path of names (at most 255 bytes)"))),
        }
    }

    /// A client of `bucket`. Makes no connection.
    pub(super) fn client(&self, bucket: &str) -> Result<AmazonS3, OptionsError> {
        self.client_with(bucket, std::env::vars_os(), RETRIES_MAX)
    }

    /// One that gives up early.
    pub(super) fn looking_client(&self) -> Result<AmazonS3, OptionsError> {
        self.client_with(&self.bucket, std::env::vars_os(), RETRIES_OF_A_LOOK)
    }

    /// One whose uploads announce no checksums of their parts: those of parts that the server copies are the server's business.
    pub(super) fn copying_client(&self) -> Result<AmazonS3, OptionsError> {
        built(self.builder(&self.bucket, std::env::vars_os(), RETRIES_MAX)?)
    }

    fn client_with(
        &self,
        bucket: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        retries: usize,
    ) -> Result<AmazonS3, OptionsError> {
        built(self.builder(bucket, variables, retries)?.with_checksum_algorithm(Checksum::SHA256))
    }

    fn builder(
        &self,
        bucket: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        retries: usize,
    ) -> Result<AmazonS3Builder, OptionsError> {
        if bucket.is_empty() {
            return Err(OptionsError("no bucket is given".to_owned()));
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            return Err(OptionsError("an access key needs its secret key, and the other way round".to_owned()));
        }
        let mut endpoint = self.endpoint.clone();
        let mut builder = AmazonS3Builder::new();
        for (key, value) in from_environment(variables) {
            use AmazonS3ConfigKey as Key;
            match key {
                Key::Bucket => {}
                // That of S3 alone is the stronger; it comes later.
                Key::Endpoint | Key::S3Endpoint => {
                    if self.endpoint.is_none() {
                        endpoint = Some(value);
                    }
                }
                Key::AccessKeyId | Key::SecretAccessKey | Key::Token if self.access_key.is_some() => {}
                key => builder = builder.with_config(key, value),
            }
        }
        if let (Some(access_key), Some(secret_key)) = (&self.access_key, &self.secret_key) {
            builder = builder.with_access_key_id(access_key.expose()).with_secret_access_key(secret_key.expose());
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        let mut plain = false;
        if let Some(endpoint) = &endpoint {
            plain = is_plain(endpoint)?;
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let backoff = BackoffConfig { init_backoff: BACKOFF_FIRST, max_backoff: BACKOFF_MAX, base: BACKOFF_GROWTH };
        Ok(builder
            .with_bucket_name(bucket)
            .with_client_options(
                ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT).with_allow_http(plain),
            )
            .with_retry(RetryConfig { backoff, max_retries: retries, retry_timeout: RETRY_TIMEOUT })
            // Not every server knows how to delete several objects with one request.
            .with_disable_bulk_delete(true))
    }
}

fn built(builder: AmazonS3Builder) -> Result<AmazonS3, OptionsError> {
    builder.build().map_err(|error| OptionsError(error.to_string()))
}

/// Whether the endpoint speaks HTTP without encryption.
fn is_plain(endpoint: &str) -> Result<bool, OptionsError> {
    // The text itself is not shown: somebody may have put a password into it.
    let refuse = |rule: &str| Err(OptionsError(format!("the endpoint has to be a URL like `https://host:port`; {rule}")));
    let Ok(url) = Url::parse(endpoint) else { return refuse("this is none") };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return refuse("it has a user, a query or a fragment, which have no meaning there");
    }
    match url.scheme() {
        "http" => Ok(true),
        "https" => Ok(false),
        _ => refuse("it is neither http nor https"),
    }
}

/// The settings of the environment, sorted by name, so that the order of the variables decides nothing.
fn from_environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(AmazonS3ConfigKey, String)> {
    let mut found: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.to_str().filter(|name| name.starts_with("AWS_"))?.to_ascii_lowercase();
            let key = name.parse().ok()?;
            Some((name, key, value.into_string().ok()?))
        })
        .collect();
    found.sort_by(|(name, ..), (other, ..)| name.cmp(other));
    found.into_iter().map(|(_, key, value)| (key, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> S3Options {
        S3Options {
            endpoint: Some("http://127.0.0.1:1/".to_owned()),
            bucket: "b".to_owned(),
            access_key: Some(Secret::new("hush-1")),
            secret_key: Some(Secret::new("hush-2")),
            ..S3Options::default()
        }
    }

    fn refused(options: &S3Options) -> String {
        options.client_with(&options.bucket, [], RETRIES_MAX).unwrap_err().to_string()
    }

    #[test]
    fn a_client_is_made_without_a_connection() {
        for endpoint in ["http://127.0.0.1:1", "https://127.0.0.1:1/", "https://[::1]:1"] {
            let options = S3Options { endpoint: Some(endpoint.to_owned()), ..options() };
            assert!(options.client_with("b", [], RETRIES_MAX).is_ok(), "{endpoint}");
        }
        assert!(!format!("{:?}", options()).contains("hush"));
    }

    #[test]
    fn halves_and_nonsense_are_refused_without_secrets() {
        for wrong in [
            S3Options { bucket: String::new(), ..options() },
            S3Options { secret_key: None, ..options() },
            S3Options { access_key: None, ..options() },
            S3Options { endpoint: Some("127.0.0.1:9".to_owned()), ..options() },
            S3Options { endpoint: Some("ftp://h".to_owned()), ..options() },
            S3Options { endpoint: Some("http://u:hush-3@h".to_owned()), ..options() },
        ] {
            let error = refused(&wrong);
            assert!(error.starts_with("S3: ") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn prefixes_are_paths_of_names() {
        let prefix = |prefix: &str| S3Options { prefix: prefix.to_owned(), ..options() }.key_prefix();
        for (given, expected) in [("", ""), ("/", ""), ("a", "a/"), ("/a/b c/", "a/b c/")] {
            assert_eq!(prefix(given).unwrap(), expected);
        }
        for wrong in ["a//b", "..", "a/../b", "a\nb", &"x".repeat(300)] {
            assert!(prefix(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_environment_fills_in_what_is_not_given() {
        let variables = |names: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            names.iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        let bare = S3Options { endpoint: None, access_key: None, secret_key: None, ..options() };
        let given =
            [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_ENDPOINT_URL", "http://h:1"), ("HOME", "/")];
        assert!(bare.client_with("b", variables(&given), RETRIES_MAX).is_ok());
        // Half a pair is an error there too, and what is given wins.
        assert!(bare.client_with("b", variables(&given[..1]), RETRIES_MAX).is_err());
        assert!(
            options()
                .client_with("b", variables(&[("AWS_ACCESS_KEY_ID", "k"), ("AWS_ENDPOINT_URL", "nonsense")]), RETRIES_MAX)
                .is_ok()
        );
    }
}
