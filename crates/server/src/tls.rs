//! TLS: the certificate that clients see, read again whenever its files change.
//!
//! A change that cannot be used, such as a certificate whose key has not been replaced yet, leaves what was in use and is looked at
//! again and again until the files fit. Connections keep what they began with. Only TLS 1.2 and 1.3 are spoken, and HTTP/1.1 inside.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::task::spawn_blocking;

use crate::config::{Service, TlsSettings};
use crate::error::one_line;

/// Time between two looks at the files.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file is needed and not named.
    #[error("`{key}` is needed because `{because}` is on: name a file in PEM form")]
    Unnamed {
        /// The setting.
        key: &'static str,
        /// What needs it.
        because: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {path:?}, the file of `{key}`: {source}")]
    Read {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file has not what it should have.
    #[error("{path:?}, the file of `{key}`: {reason}")]
    Content {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong. Never shows what the file contains.
        reason: String,
    },
    /// Certificate and key cannot be used, or not together.
    #[error("the certificate {cert:?} and the key {key:?} cannot be used: {source}")]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The authorities of clients cannot be used.
    #[error("the authorities in {path:?} cannot be used: {source}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VerifierBuilderError,
    },
}

/// What clients are encrypted with.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: RustlsConfig,
    files: Files,
    seen: Stamps,
}

/// Where everything comes from.
#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// The authorities of clients, which have to show a certificate then.
    authorities: Option<PathBuf>,
}

/// What a file's change changes: device, inode, length, and time of modification in seconds and nanoseconds. `None` for a file that is
/// not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;
type Stamps = [Stamp; 3];

impl Tls {
    /// Reads the files; `None` if TLS is off.
    pub(crate) fn load(service: &Service, settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        if !service.enable_tls {
            return match service.verify_https_client_certificate {
                true => Err(TlsError::Unnamed { key: "service.enable_tls", because: "service.verify_https_client_certificate" }),
                false => Ok(None),
            };
        }
        let named = |file: &Option<PathBuf>, key, because| file.clone().ok_or(TlsError::Unnamed { key, because });
        let verify = service.verify_https_client_certificate;
        let authorities = verify.then(|| named(&settings.ca_cert, "tls.ca_cert", "service.verify_https_client_certificate"));
        let files = Files {
            cert: named(&settings.cert, "tls.cert", "service.enable_tls")?,
            key: named(&settings.key, "tls.key", "service.enable_tls")?,
            authorities: authorities.transpose()?,
        };
        // Before reading: what is written while they are read is a change.
        let seen = files.stamps();
        let config = RustlsConfig::from_config(Arc::new(files.load()?));
        Ok(Some(Self { config, files, seen }))
    }

    /// What the listener uses; it changes with the files as long as somebody [watches](Self::watch) them.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Reads the files again whenever one of them changes. Has no end.
    pub(crate) async fn watch(mut self) {
        let mut known = None;
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let files = self.files.clone();
            let (seen, last) = (self.seen, known.is_some());
            // What did not fit is tried again without a change: time stamps are too coarse to show every one.
            let Ok(Some((stamps, loaded))) = spawn_blocking(move || files.load_if_changed(seen, last)).await else { continue };
            self.seen = stamps;
            match loaded {
                Ok(config) => {
                    self.config.reload_from_config(Arc::new(config));
                    known = None;
                    tracing::info!("the certificate {} is in use", self.files.cert.display());
                }
                Err(error) => {
                    let problem = Some(one_line(&error));
                    if problem != known {
                        tracing::error!("the former certificate stays in use: {}", one_line(&error));
                        known = problem;
                    }
                }
            }
        }
    }
}

impl Files {
    fn stamps(&self) -> Stamps {
        let of = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
        };
        [of(&self.cert), of(&self.key), self.authorities.as_deref().and_then(of)]
    }

    /// Reads the files if they are not as they were `seen`, or `always`.
    fn load_if_changed(&self, seen: Stamps, always: bool) -> Option<(Stamps, Result<ServerConfig, TlsError>)> {
        let stamps = self.stamps();
        (always || stamps != seen).then(|| (stamps, self.load()))
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let pair = |source| TlsError::Pair { cert: self.cert.clone(), key: self.key.clone(), source };
        let builder = builder.with_safe_default_protocol_versions().map_err(pair)?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("tls.ca_cert", path)? {
                    let failed = |error: rustls::Error| content("tls.ca_cert", path, error.to_string());
                    roots.add(certificate).map_err(failed)?;
                }
                let failed = |source| TlsError::Authorities { path: path.clone(), source };
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(failed)?)
            }
        };
        let cert = certificates("tls.cert", &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read("tls.key", &self.key)?);
        let key = key.map_err(|error| content("tls.key", &self.key, wrong("private key", error)))?;
        let mut config = builder.with_single_cert(cert, key).map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The certificates of a file, which has at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(key, path)?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(content(key, path, wrong("certificate", pem::Error::NoItemsFound))),
        Ok(found) => Ok(found),
        Err(error) => Err(content(key, path, wrong("certificate", error))),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
}

fn content(key: &'static str, path: &Path, reason: String) -> TlsError {
    TlsError::Content { key, path: path.to_owned(), reason }
}

/// What is wrong with a file in PEM form. Lines of it, which the parser's errors would quote, are not shown.
fn wrong(what: &str, error: pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => format!("it has no {what} in PEM form"),
        _ => format!("it is not in PEM form, or damaged, so no {what} can be read"),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Certificates for tests.

    use super::*;

    /// A certificate of its own for `localhost`, and its key, in PEM form.
    pub(crate) fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    /// What a listener would use.
    pub(crate) fn config() -> RustlsConfig {
        let dir = tempfile::tempdir().unwrap();
        let (service, settings) = super::tests::settings(dir.path());
        Tls::load(&service, &settings).unwrap().unwrap().config()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Settings with a new certificate in `dir`.
    pub(super) fn settings(dir: &Path) -> (Service, TlsSettings) {
        let (cert, key) = testing::pair();
        fs::write(dir.join("cert.pem"), cert).unwrap();
        fs::write(dir.join("key.pem"), key).unwrap();
        let service = Service { enable_tls: true, ..Service::default() };
        let file = |name| Some(dir.join(name));
        (service, TlsSettings { cert: file("cert.pem"), key: file("key.pem"), ca_cert: file("cert.pem") })
    }

    fn error(service: &Service, settings: &TlsSettings) -> String {
        Tls::load(service, settings).unwrap_err().to_string()
    }

    #[test]
    fn only_what_is_switched_on_needs_files() {
        let none = TlsSettings::default();
        let off = Service::default();
        assert!(Tls::load(&off, &none).unwrap().is_none());
        let on = Service { enable_tls: true, ..Service::default() };
        assert!(error(&on, &none).contains("`tls.cert` is needed because `service.enable_tls`"));
        let verifying = Service { verify_https_client_certificate: true, ..on };
        let dir = tempfile::tempdir().unwrap();
        let (_, complete) = settings(dir.path());
        assert!(Tls::load(&verifying, &complete).unwrap().is_some());
        let without = TlsSettings { ca_cert: None, ..complete };
        assert!(error(&verifying, &without).contains("`tls.ca_cert` is needed"));
        let alone = Service { enable_tls: false, ..verifying };
        assert!(error(&alone, &without).contains("`service.enable_tls` is needed"));
    }

    #[test]
    fn errors_name_the_file_and_show_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (service, settings) = settings(dir.path());
        let (_, other_key) = testing::pair();
        fs::write(dir.path().join("key.pem"), &other_key).unwrap();
        let message = error(&service, &settings);
        assert!(message.contains("cert.pem") && message.contains("key.pem"), "{message}");
        for (text, expected) in [
            (None, "cannot read"),
            (Some("hush"), "no private key in PEM form"),
            (Some("-----BEGIN PRIVATE KEY-----\nhush!\n-----END PRIVATE KEY-----\n"), "damaged"),
            (Some("-----BEGIN PRIVATE KEY-----\nhush"), "damaged"),
        ] {
            let _ = fs::remove_file(dir.path().join("key.pem"));
            if let Some(text) = text {
                fs::write(dir.path().join("key.pem"), text).unwrap();
            }
            let message = error(&service, &settings);
            assert!(message.contains("key.pem") && message.contains("`tls.key`") && message.contains(expected), "{message}");
            assert!(!message.contains("hush"), "{message}");
        }
        fs::write(dir.path().join("cert.pem"), "").unwrap();
        assert!(error(&service, &settings).contains("no certificate in PEM form"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_certificate_is_used_once_its_key_has_come() {
        let dir = tempfile::tempdir().unwrap();
        let (service, settings) = settings(dir.path());
        let tls = Tls::load(&service, &settings).unwrap().unwrap();
        let config = tls.config();
        let before = config.get_inner();
        let watch = tokio::spawn(tls.watch());
        let (cert, key) = testing::pair();
        fs::write(dir.path().join("cert.pem"), cert).unwrap();
        for _ in 0..3 {
            tokio::time::sleep(WATCH_INTERVAL * 2).await;
            assert!(Arc::ptr_eq(&before, &config.get_inner()));
        }
        fs::write(dir.path().join("key.pem"), key).unwrap();
        for _ in 0..1000 {
            tokio::time::sleep(WATCH_INTERVAL).await;
            if !Arc::ptr_eq(&before, &config.get_inner()) {
                watch.abort();
                return;
            }
        }
        panic!("the new certificate is not used");
    }
}
