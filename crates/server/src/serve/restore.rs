//! The restores of the command line, made before anybody is answered.

use std::path::{Path, PathBuf};

use super::ServeError;
use crate::app::App;
use crate::cli::ServerArgs;
use crate::error::Kind;
use crate::metrics::Kind as Counted;
use crate::report::{Reporter, throughput};
use crate::usecases::naming::Place;
use crate::usecases::restore::{self, Request};

/// What the arguments ask for; the archives have to be there.
pub(super) fn request(arguments: ServerArgs) -> Result<Request, ServeError> {
    let mut collections = Vec::new();
    for mapping in arguments.mappings()? {
        collections.push((existing(&mapping.path)?, mapping.name));
    }
    let ServerArgs { storage_snapshot, force_snapshot, .. } = arguments;
    let storage = storage_snapshot.as_deref().map(existing).transpose()?;
    Ok(Request { collections, storage, force: force_snapshot })
}

/// Makes all of the restores, or none.
pub(super) fn restore_all(app: &App, request: &Request) -> Result<(), ServeError> {
    if request.is_empty() {
        return Ok(());
    }
    let reporter = Reporter::new("restoring", Some(app.shutdown.clone()));
    let limited = app.bandwidth.limit(&reporter);
    let counted = app.metrics.snapshot(Counted::Recover, &Place::Storage);
    let start = app.clock.monotonic();
    let restored = restore::restore(app.fs.as_ref(), &app.storage, &app.config.storage.storage_path, request, &limited);
    reporter.finish();
    let restored = match restored {
        Err(error) if error.kind() == Kind::Cancelled => return Err(ServeError::Stopped),
        restored => restored?,
    };
    counted.finish(restored.bytes);
    let time = app.clock.monotonic().saturating_sub(start);
    let names = restored.collections.join(", ");
    tracing::info!("restored {} collections ({names}) and {} aliases", restored.collections.len(), restored.aliases);
    tracing::info!("restored {}", throughput(restored.bytes, time));
    Ok(())
}

/// The path of a snapshot that has to be there, without symbolic links.
fn existing(path: &Path) -> Result<PathBuf, ServeError> {
    path.canonicalize().map_err(|source| ServeError::Snapshot { path: path.to_owned(), source })
}
