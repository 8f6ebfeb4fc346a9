//! From the command line to a running server, and to its end.
//!
//! Nothing listens before every restore is done, so whoever is answered sees the restored data. The port is taken before anything is
//! restored, though, so that a second server with the same port fails before it changes anything. At the end the order is: no new
//! connections and no new jobs, a limited time for what has begun, a stop for what takes longer, and the storage's last sync.

mod doors;
mod error;
mod open;
mod restore;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use self::doors::{Ports, announce, answer};
use self::restore::{request, restore_all};
use self::watch::watch_storage;
use crate::app::App;
use crate::cli::ServerArgs;
use crate::config::{self, Config, Loaded};
use crate::error::AppError;
use crate::jobs::kinds;
use crate::reload::{Hangups, Settings};
use crate::shutdown::Shutdown;
use crate::tls::Tls;
use crate::{logging, verifier};

pub(crate) use self::error::ServeError;
pub(crate) use self::open::open;

/// How long threads that were told to stop may take; after that the process ends without them, as in a crash.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Runs the server until a signal ends it.
pub(crate) fn run(arguments: ServerArgs) -> Result<(), ServeError> {
    let loaded = config::load(Path::new(config::DEFAULT_FILE), arguments.config_path.as_deref(), std::env::vars_os())?;
    logging::init(&loaded.config.log_level)?;
    report_settings(&loaded);
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::Process { what: "start the runtime", source })?;
    let outcome = runtime.block_on(serve(arguments, loaded.config));
    runtime.shutdown_timeout(STOP_TIME);
    outcome
}

async fn serve(arguments: ServerArgs, config: Config) -> Result<(), ServeError> {
    let shutdown = Shutdown::new();
    let no_signals = |source| ServeError::Process { what: "listen for signals", source };
    shutdown.listen().map_err(no_signals)?;
    let hangups = Hangups::listen().map_err(no_signals)?;
    let settings = Settings::new(arguments.config_path.clone(), config.clone());
    let request = request(arguments)?;
    // Before anything is opened: a server that could not be reached need not restore.
    let tls = Tls::load(&config.service, &config.tls)?;

    let opening = shutdown.clone();
    let app = blocking(move || open(config, opening)).await?;
    tokio::spawn(hangups.obey(Arc::clone(&app), settings));
    let ports = Ports::take(&app.config).await?;
    let restoring = Arc::clone(&app);
    blocking(move || restore_all(&restoring, &request)).await?;
    if shutdown.is_requested() {
        return close(&app).await;
    }
    let listeners = ports.listen()?;
    if let Some(address) = listeners.service_address() {
        app.clusters.listening_at(address);
    }
    let resuming = Arc::clone(&app);
    blocking(move || Ok(resuming.jobs.resume(|job| kinds::rebuild(&resuming, job))?)).await?;
    app.jobs.start()?;
    verifier::start(&app);
    let sweeping = Arc::clone(&app);
    spawn_blocking(move || sweeping.stores.sweep_remote());
    tokio::spawn(halt_jobs(Arc::clone(&app)));
    announce(&app, &listeners);
    let watch = tokio::spawn(watch_storage(Arc::clone(&app)));
    let watch_tls = tls.as_ref().map(|tls| tokio::spawn(tls.clone().watch()));
    let answered = answer(&app, listeners, tls).await;
    watch.abort();
    if let Some(watch) = watch_tls {
        watch.abort();
    }
    let closed = close(&app).await;
    answered.and(closed)
}

/// Tells those who wait for jobs that have not begun, as soon as no more of them will.
async fn halt_jobs(app: Arc<App>) {
    app.shutdown.requested().await;
    app.jobs.halt();
}

async fn close(app: &Arc<App>) -> Result<(), ServeError> {
    app.shutdown.force();
    app.verifier.close();
    // Stopped work removes what it has made. Who does not stop in time is left behind as by a crash.
    let _ = tokio::time::timeout(STOP_TIME, app.shutdown.idle()).await;
    let app = Arc::clone(app);
    blocking(move || {
        let jobs = match app.jobs.stop(STOP_TIME) {
            true => app.jobs.close(),
            // They may want to note something yet.
            false => Ok(()),
        };
        app.storage.close().map_err(AppError::from).and(jobs).map_err(ServeError::from)
    })
    .await?;
    tracing::info!("stopped");
    Ok(())
}

fn report_settings(loaded: &Loaded) {
    let service = &loaded.config.service;
    match (service.full_keys().next(), &service.read_only_api_key) {
        (Some(_), _) => {}
        (None, Some(_)) => tracing::info!("only a read-only API key is configured: nobody can write"),
        (None, None) => tracing::info!("no API key is configured: whoever reaches the port may read and write"),
    }
    for file in &loaded.files {
        tracing::info!("settings from {}", file.display());
    }
    if !loaded.ignored.is_empty() {
        tracing::warn!("these settings have no effect in icecore: {}", loaded.ignored.join(", "));
    }
}

/// Every segment is a file kept open, and the usual soft limit is for programs that use `select`.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!("cannot raise the limit of open files from {:?} to {:?}: {error}", limit.current, limit.maximum);
    }
}

/// Runs `work` on a thread for blocking work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ServeError> + Send + 'static) -> Result<T, ServeError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime goes only after this.
        Err(_) => Err(ServeError::Stopped),
    }
}
