//! Where an archive to be recovered is: a URL, a file of the snapshots directory, or an archive of the store by its name.
//!
//! What may be reached is decided here and in `remote`: files only inside the snapshots directory, after symbolic links are
//! followed; URLs only if the configuration allows them, and then only hosts that it allows. (Source of the rules and texts:
//! Qdrant's recovery endpoints.)

use std::io;
use std::path::{Path, PathBuf};

use icecore_archive::ArchiveName;
use url::Url;

use super::naming::Place;
use crate::remote::redacted;
use crate::stores::{ObjectAddress, address};

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// On another server, or on this one.
    Remote(Url),
    /// A file inside the snapshots directory, without symbolic links.
    File(PathBuf),
    /// An archive of the place that it is to be restored to.
    Stored(ArchiveName),
    /// An archive of another place of the store.
    Placed(Place, ArchiveName),
    /// In a bucket.
    Object(ObjectAddress),
}

impl Location {
    /// What may be shown and written down of it: a URL without its secrets, a file's path, a name.
    pub(crate) fn redacted(&self) -> String {
        match self {
            Self::Remote(url) => redacted(url),
            Self::File(path) => Url::from_file_path(path).map_or_else(|()| path.display().to_string(), String::from),
            Self::Stored(name) | Self::Placed(_, name) => name.to_string(),
            Self::Object(address) => address.to_string(),
        }
    }
}

/// Why an archive cannot be taken from where it is said to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocationError {
    /// Neither a file nor something to fetch.
    #[error("URL {url} with scheme {scheme} is not supported")]
    Scheme {
        /// The URL, without secrets.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A file URL for a shard.
    #[error("Invalid snapshot URL {url}: URLs with {scheme} scheme are not supported")]
    ShardScheme {
        /// The URL, without secrets.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A URL of S3 that names no object.
    #[error("Invalid snapshot URL {url}: {reason}")]
    Object {
        /// The URL, without secrets.
        url: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A URL of S3, and no way there.
    #[error(
        "Snapshot recovery from s3:// needs S3 as the storage of snapshots (`storage.snapshots_config`), which is not configured"
    )]
    NoBucket,
    /// A file on another machine.
    #[error("Invalid snapshot URI, file path must be absolute or on localhost")]
    FileHost,
    /// No such archive of the shard.
    #[error("Snapshot {name} not found")]
    NoArchive {
        /// The name, which may be one that no archive can have.
        name: String,
    },
    /// No such file.
    #[error("Snapshot file {path:?} does not exist")]
    Missing {
        /// The file, as it was given.
        path: PathBuf,
    },
    /// A file that is nobody's business.
    #[error("Snapshot file path must be inside the snapshots directory {dir:?}")]
    Outside {
        /// The directory.
        dir: PathBuf,
    },
    /// URLs are switched off.
    #[error("Snapshot recovery from remote URLs is disabled in the configuration")]
    Disabled,
    /// The file system does not say where the file is.
    #[error("look at {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// What recoveries may reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach<'a> {
    /// The directory of the archives.
    pub(crate) snapshots_path: &'a Path,
    /// Whether URLs may be fetched.
    pub(crate) urls: bool,
    /// Whether objects of S3 may be read.
    pub(crate) objects: bool,
}

/// The location of a collection's archive.
pub(crate) fn of_collection(url: &Url, reach: Reach<'_>) -> Result<Location, LocationError> {
    match url.scheme() {
        "http" | "https" => remote(url, reach),
        "file" => file(url, reach.snapshots_path),
        address::SCHEME => object(url, reach),
        scheme => Err(LocationError::Scheme { url: redacted(url), scheme: scheme.to_owned() }),
    }
}

/// The location of a shard's archive: a URL, or the name of an archive of the shard.
pub(crate) fn of_shard(text: &str, reach: Reach<'_>) -> Result<Location, LocationError> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => remote(&url, reach),
        Ok(url) if url.scheme() == address::SCHEME => object(&url, reach),
        Ok(url) => Err(LocationError::ShardScheme { url: redacted(&url), scheme: url.scheme().to_owned() }),
        Err(_) => match text.parse() {
            Ok(name) => Ok(Location::Stored(name)),
            // A name that no archive can have names none.
            Err(_) => Err(LocationError::NoArchive { name: text.chars().take(300).collect() }),
        },
    }
}

fn remote(url: &Url, reach: Reach<'_>) -> Result<Location, LocationError> {
    if reach.urls { Ok(Location::Remote(url.clone())) } else { Err(LocationError::Disabled) }
}

fn object(url: &Url, reach: Reach<'_>) -> Result<Location, LocationError> {
    if !reach.objects {
        return Err(LocationError::NoBucket);
    }
    ObjectAddress::parse(url).map(Location::Object).map_err(|reason| LocationError::Object { url: redacted(url), reason })
}

fn file(url: &Url, snapshots_path: &Path) -> Result<Location, LocationError> {
    let path = url.to_file_path().map_err(|()| LocationError::FileHost)?;
    let found = match path.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(LocationError::Unreadable { path, source: error });
        }
        // Not found, a loop of links, a name that is too long, a NUL: in no case is there a file.
        Err(_) => return Err(LocationError::Missing { path }),
    };
    let dir = match snapshots_path.canonicalize() {
        Ok(dir) => dir,
        // Where archives are kept in a bucket, there may be none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LocationError::Outside { dir: snapshots_path.to_owned() });
        }
        Err(source) => return Err(LocationError::Unreadable { path: snapshots_path.to_owned(), source }),
    };
    if !found.starts_with(&dir) {
        return Err(LocationError::Outside { dir });
    }
    if !found.is_file() {
        return Err(LocationError::Missing { path });
    }
    Ok(Location::File(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<Location, LocationError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn files_are_found_inside_the_snapshots_directory_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let snapshots = root.join("snapshots");
        std::fs::create_dir_all(snapshots.join("c")).unwrap();
        std::fs::write(snapshots.join("c/a.snapshot"), b"x").unwrap();
        std::fs::write(root.join("secret"), b"x").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), snapshots.join("link.snapshot")).unwrap();
        let reach = Reach { snapshots_path: &snapshots, urls: false, objects: false };
        let of = |text: String| of_collection(&Url::parse(&text).unwrap(), reach);
        let at = |path: &str| of(format!("file://{}/{path}", snapshots.display()));

        let found = Location::File(snapshots.join("c/a.snapshot"));
        assert_eq!(at("c/a.snapshot").unwrap(), found);
        assert_eq!(at("c/../c/a.snapshot").unwrap(), found);
        assert_eq!(of(format!("file://localhost{}/c/a.snapshot", snapshots.display())).unwrap(), found);
        for outside in ["link.snapshot", "../secret", "c/..%2F..%2Fsecret"] {
            assert!(text(at(outside)).starts_with("Snapshot file path must be inside"), "{outside}");
        }
        for missing in ["c", "c/none.snapshot", "c/a.snapshot%00"] {
            assert!(matches!(at(missing), Err(LocationError::Missing { .. } | LocationError::FileHost)), "{missing}");
        }
        assert!(matches!(of("file://host/x".to_owned()), Err(LocationError::FileHost)));
    }

    #[test]
    fn objects_are_reached_only_if_there_is_a_way() {
        let url = Url::parse("s3://b/c/a.snapshot").unwrap();
        let reach = Reach { snapshots_path: Path::new("none"), urls: false, objects: true };
        let found = of_collection(&url, reach).unwrap();
        assert_eq!(found.redacted(), "s3://b/c/a.snapshot");
        assert_eq!(of_shard(url.as_str(), reach).unwrap(), found);
        for refused in
            [of_collection(&url, Reach { objects: false, ..reach }), of_shard(url.as_str(), Reach { objects: false, ..reach })]
        {
            assert!(matches!(refused, Err(LocationError::NoBucket)), "{refused:?}");
        }
        let secret = text(of_collection(&Url::parse("s3://u:hush@b/a").unwrap(), reach));
        assert!(secret.starts_with("Invalid snapshot URL s3://b/a: ") && !secret.contains("hush"), "{secret}");
    }

    #[test]
    fn schemes_are_told_apart() {
        let reach = Reach { snapshots_path: Path::new("none"), urls: true, objects: false };
        let url = Url::parse("http://user:pass@host/x").unwrap();
        assert_eq!(of_collection(&url, reach).unwrap(), Location::Remote(url.clone()));
        assert!(matches!(of_collection(&url, Reach { urls: false, ..reach }), Err(LocationError::Disabled)));
        for scheme in ["ftp", "gopher", "data"] {
            let url = Url::parse(&format!("{scheme}:x")).unwrap();
            assert!(text(of_collection(&url, reach)).ends_with(&format!("with scheme {scheme} is not supported")));
        }
        assert_eq!(of_shard("a.snapshot", reach).unwrap(), Location::Stored("a.snapshot".parse().unwrap()));
        assert_eq!(text(of_shard("file:///x", reach)), "Invalid snapshot URL file:///x: URLs with file scheme are not supported");
        for name in ["", "..", "a/b.snapshot", "../a.snapshot", "/etc/passwd"] {
            assert!(matches!(of_shard(name, reach), Err(LocationError::NoArchive { .. })), "{name}");
        }
    }
}
