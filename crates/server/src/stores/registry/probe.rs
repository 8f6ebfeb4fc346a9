//! Tries whether a store could be used, and says it in the words of the backup manager's contract.

use std::io;
use std::path::Path;

use icecore_io::{FileKind, Fs};

use super::StoresError;
use super::check::{self, Reserved};
use super::record::Draft;
use super::s3::Connector;
use crate::error::one_line;
use crate::stores::{S3Store, Store};

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tested {
    /// Whether the store could be used.
    pub(crate) success: bool,
    /// What happened.
    pub(crate) message: String,
}

fn succeeded(message: &str) -> Tested {
    Tested { success: true, message: message.to_owned() }
}

fn failed(message: impl Into<String>) -> Tested {
    Tested { success: false, message: message.into() }
}

/// Tries a directory, and makes it if it is not there.
pub(super) fn local(fs: &dyn Fs, path: Option<&str>, reserved: &Reserved) -> Tested {
    let path = match check::path(path.map(str::to_owned), reserved) {
        Ok(path) => path,
        Err(error) => return failed(error.to_string()),
    };
    let shown = path.display();
    match fs.metadata(&path) {
        Ok(found) if found.kind != FileKind::Dir && !leads_to_dir(&path) => failed(format!("Path is not a directory: {shown}")),
        Ok(_) if is_writable(fs, &path) => succeeded("Local storage path is accessible"),
        Ok(_) => failed(format!("Directory is not writable: {shown}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs.create_dir_all(&path) {
            Ok(()) => succeeded("Directory created successfully"),
            Err(_) => failed(format!("Cannot create directory: {shown}")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => failed(format!("Cannot create directory: {shown}")),
        Err(_) => failed(format!("Directory is not writable: {shown}")),
    }
}

/// Whether a link leads to a directory: the store's directory itself may be one, those in it may not.
fn leads_to_dir(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a file can be made in a directory; it is removed again.
fn is_writable(fs: &dyn Fs, dir: &Path) -> bool {
    let file = dir.join(format!(".icecore-{}.tmp", std::process::id()));
    // A file that was made and cannot be removed is as little as a store can do.
    fs.create_new(&file).is_ok() && fs.remove_file(&file).is_ok()
}

/// Tries a bucket.
pub(super) fn s3(draft: Draft, reserved: &Reserved, connector: &Connector) -> Tested {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    // A region has an endpoint of its own.
    if !given(&draft.s3.endpoint) && !given(&draft.s3.region) {
        return failed("Failed: S3 endpoint is required");
    }
    if !given(&draft.s3.bucket) {
        return failed("Failed: S3 bucket is required");
    }
    match check::draft(draft, reserved).and_then(|checked| connector.connect(checked.settings)) {
        Ok(store) => probed(&store),
        Err(error @ StoresError::Invalid { .. }) => failed(error.to_string()),
        Err(error) => failed(format!("Failed to connect: {}", one_line(&error))),
    }
}

/// Asks the bucket.
pub(super) fn probed(store: &S3Store) -> Tested {
    match store.probe() {
        Ok(()) => succeeded("Successfully connected to S3 bucket"),
        Err(error) => failed(format!("Failed to connect: {}", one_line(&error))),
    }
}
