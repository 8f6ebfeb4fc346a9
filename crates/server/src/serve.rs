//! From the command line to a running server, and to its end.
//!
//! Nothing listens before every restore is done, so whoever is answered sees the restored data. The port is taken before anything is
//! restored, though, so that a second server with the same port fails before it changes anything. At the end the order is: no new
//! connections and no new jobs, a limited time for what has begun, a stop for what takes longer, and the storage's last sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use icecore_io::{Clock, Fs, OsClock, OsFs};
use icecore_storage::Storage;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::app::App;
use crate::bandwidth::Bandwidth;
use crate::cli::{MappingError, ServerArgs};
use crate::clusters::{ClusterError, Clusters};
use crate::config::{self, Config, ConfigError, KeptIn, Loaded};
use crate::error::{AppError, Kind, one_line};
use crate::jobs::{self, Jobs, kinds};
use crate::listen::{ListenError, Port};
use crate::metrics::{Kind as Counted, Metrics};
use crate::reload::{Hangups, Settings};
use crate::remote::{Fetcher, Timeouts};
use crate::report::{Reporter, throughput};
use crate::shutdown::Shutdown;
use crate::stores::{LocalStore, RECORDS_DIR, Records, S3Store, Store, StoreError, Stores};
use crate::tls::{Tls, TlsError};
use crate::usecases::naming::Place;
use crate::usecases::restore::{self, Request};
use crate::verifier::{self, Verifier};
use crate::{http, logging, threads};

/// How long threads that were told to stop may take; after that the process ends without them, as in a crash.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Time between two looks at the storage's health.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// How long the start waits for a store on another machine.
const REMOTE_TIME: Duration = Duration::from_secs(10);

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A `--snapshot` that cannot be.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The log level is none.
    #[error("`log_level`: {0}")]
    LogLevel(#[from] logging::LevelError),
    /// The storage, the archives or a restore.
    #[error(transparent)]
    App(Box<AppError>),
    /// A file from the command line; nothing was done yet.
    #[error("cannot find the snapshot {path:?}; check its path, nothing was restored")]
    Snapshot {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A path from the settings.
    #[error("cannot use {path:?}")]
    Path {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A cluster of the settings.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The end of the server was asked for before it listened.
    #[error("stopped before the server was ready; nothing was restored")]
    Stopped,
    /// Something of the process itself failed.
    #[error("{what}")]
    Process {
        /// What was attempted.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl From<AppError> for ServeError {
    fn from(error: AppError) -> Self {
        Self::App(Box::new(error))
    }
}

/// The ports of this process.
struct Ports {
    service: Port,
    manager: Option<Port>,
}

/// The ports, with clients that may connect.
struct Listeners {
    service: TcpListener,
    manager: Option<TcpListener>,
}

impl Ports {
    async fn take(config: &Config) -> Result<Self, ListenError> {
        let service = Port::take(&config.service.host, config.service.http_port, "service.http_port").await?;
        let host = config.manager.host.as_ref().unwrap_or(&config.service.host);
        let manager = match config.manager.port {
            Some(port) => Some(Port::take(host, port, "manager.port").await?),
            None => None,
        };
        Ok(Self { service, manager })
    }

    fn listen(self) -> Result<Listeners, ListenError> {
        Ok(Listeners { service: self.service.listen()?, manager: self.manager.map(Port::listen).transpose()? })
    }
}

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
    if let Ok(address) = listeners.service.local_addr() {
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
    answered?;
    close(&app).await
}

/// Logs when points can no longer be moved from memory to the disk, and when they can again.
async fn watch_storage(app: Arc<App>) {
    let mut known = None;
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let problem = app.storage.flush_problem();
        if problem != known {
            match &problem {
                Some(reason) => tracing::error!("points cannot be moved from memory to the disk: {reason}"),
                None => tracing::info!("points are moved from memory to the disk again"),
            }
            known = problem;
        }
    }
}

/// Tells those who wait for jobs that have not begun, as soon as no more of them will.
async fn halt_jobs(app: Arc<App>) {
    app.shutdown.requested().await;
    app.jobs.halt();
}

/// Answers requests until the end is asked for and the time for draining is over, or all are answered and all that they began is
/// done.
async fn answer(app: &Arc<App>, listeners: Listeners, tls: Option<Tls>) -> Result<(), ServeError> {
    let tls = tls.map(|tls| tls.config());
    let serve = |listener, routes| http::serve(listener, routes, &app.config.service, tls.clone(), app.shutdown.clone());
    let service = serve(listeners.service, http::router(Arc::clone(app)));
    let manager = async {
        match listeners.manager {
            Some(listener) => serve(listener, http::manager_router(Arc::clone(app))).await,
            None => Ok(()),
        }
    };
    let answered = async {
        tokio::try_join!(service, manager).map_err(|source| ServeError::Process { what: "serve", source })?;
        app.shutdown.idle().await;
        Ok(())
    };
    let drained = app.shutdown.clone();
    tokio::select! {
        result = answered => result,
        () = drained.drained() => {
            tracing::warn!("requests that are still running after the time for draining are cut off");
            Ok(())
        }
    }
}

async fn close(app: &Arc<App>) -> Result<(), ServeError> {
    app.shutdown.force();
    app.verifier.close();
    // Stopped work removes what it has made. Who does not stop in time is left behind as by a crash.
    let _ = tokio::time::timeout(STOP_TIME, app.shutdown.idle()).await;
    let app = Arc::clone(app);
    blocking(move || {
        app.jobs.stop(STOP_TIME);
        app.storage.close().map_err(|error| AppError::from(error).into())
    })
    .await?;
    tracing::info!("stopped");
    Ok(())
}

/// Opens everything that the front doors need. Must be called inside a runtime.
pub(crate) fn open(mut config: Config, shutdown: Shutdown) -> Result<Arc<App>, ServeError> {
    config.storage.storage_path = absolute(&config.storage.storage_path)?;
    config.storage.snapshots_path = absolute(&config.storage.snapshots_path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let clock: Arc<dyn Clock> = Arc::new(OsClock::new());
    let options = config.storage.options();
    let storage =
        Storage::open(Arc::clone(&fs), Arc::clone(&clock), &config.storage.storage_path, options).map_err(AppError::from)?;
    for torn in storage.torn_tails() {
        let (path, offset) = (torn.path.display(), torn.offset);
        tracing::warn!("cut {} bytes of an unfinished write off {path} at {offset}: {}", torn.len, torn.reason);
    }
    let store = open_store(&config, &fs, &clock).map_err(|error| ServeError::from(AppError::from(error)))?;
    match store.is_remote() {
        false => sweep(store.as_ref()),
        true => sweep_remote(&store),
    }
    // After the storage, whose lock keeps other servers away from the directory.
    let database = config.storage.storage_path.join(jobs::FILE);
    let jobs = Arc::new(Jobs::open(Some(&database), Arc::clone(&clock), shutdown.clone(), config.jobs.options())?);
    let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
    let timeouts = Timeouts::with_idle(config.service.idle_timeout());
    let fetcher = Fetcher::new(config.service.snapshot_url_allow.clone(), timeouts, Handle::current(), shutdown.clone());
    let storage = Arc::new(storage);
    let bandwidth = Bandwidth::new(Arc::clone(&clock), config.snapshots.bandwidth_mb_s);
    let verifier = Verifier::new(config.snapshots.verify_new.0);
    let key = config.manager.encryption_key.clone();
    let stores = Stores::open(Arc::clone(&fs), Arc::clone(&clock), &config.storage, key, Arc::clone(&store), Handle::current())
        .map_err(AppError::from)?;
    let clusters = Clusters::new(&config, Handle::current())?;
    Ok(Arc::new(App {
        storage,
        store,
        stores,
        clusters,
        jobs,
        fs,
        clock,
        metrics,
        bandwidth,
        verifier,
        fetcher,
        config,
        shutdown,
    }))
}

/// The store that the settings name.
fn open_store(config: &Config, fs: &Arc<dyn Fs>, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
    let (fs, clock, storage) = (Arc::clone(fs), Arc::clone(clock), &config.storage);
    Ok(match storage.snapshots.kept_in {
        KeptIn::Local => Arc::new(LocalStore::open(fs, clock, storage.snapshots_path.clone())?),
        KeptIn::S3 => {
            let records = Records::new(fs, storage.storage_path.join(RECORDS_DIR));
            let options = storage.snapshots.s3.clone();
            Arc::new(S3Store::connect(options, records, clock, Handle::current()).map_err(StoreError::Options)?)
        }
    })
}

/// Removes what a crash has left in the store.
fn sweep(store: &dyn Store) {
    match store.sweep() {
        Ok(0) => {}
        Ok(swept) => tracing::info!("removed {swept} files of snapshots that a crash had left unfinished"),
        // They take space and do no harm.
        Err(error) => tracing::warn!("cannot look for unfinished snapshots: {}", one_line(&error)),
    }
}

/// The same on another machine, which may not answer: the points can be served without it, and it may come back. So it is waited for
/// [`REMOTE_TIME`] at most. What goes on after that hurts nobody, because a remote store knows what this process has begun.
fn sweep_remote(store: &Arc<dyn Store>) {
    let (store, (done, ended)) = (Arc::clone(store), mpsc::channel());
    drop(threads::spawn("sweep", move || {
        match store.probe() {
            Ok(()) => sweep(store.as_ref()),
            Err(error) => {
                tracing::warn!("snapshots can be neither made nor listed until this is mended: {}", one_line(&error));
            }
        }
        // Nobody may wait any more.
        let _ = done.send(());
    }));
    if ended.recv_timeout(REMOTE_TIME) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("the place of the snapshots has not answered yet; starting without it");
    }
}

fn request(arguments: ServerArgs) -> Result<Request, ServeError> {
    let mut collections = Vec::new();
    for mapping in arguments.mappings()? {
        collections.push((existing(&mapping.path)?, mapping.name));
    }
    let ServerArgs { storage_snapshot, force_snapshot, .. } = arguments;
    let storage = storage_snapshot.as_deref().map(existing).transpose()?;
    Ok(Request { collections, storage, force: force_snapshot })
}

fn restore_all(app: &App, request: &Request) -> Result<(), ServeError> {
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

fn announce(app: &App, listeners: &Listeners) {
    let shown = |listener: &TcpListener| {
        listener.local_addr().map_or_else(|_| app.config.service.host.clone(), |address| address.to_string())
    };
    let scheme = if app.config.service.enable_tls { "https" } else { "http" };
    let address = shown(&listeners.service);
    let storage = app.config.storage.storage_path.display();
    let kept = &app.config.storage;
    let snapshots = match kept.snapshots.kept_in {
        KeptIn::Local => kept.snapshots_path.display().to_string(),
        KeptIn::S3 => format!("s3://{}/{}", kept.snapshots.s3.bucket, kept.snapshots.s3.prefix),
    };
    tracing::info!("listening on {scheme}://{address}, storage in {storage}, snapshots in {snapshots}");
    // Nobody may be reading, which is no reason to end.
    let _ = io::Write::write_fmt(
        &mut io::stdout(),
        format_args!(
            "icecore {} listening on {scheme}://{address}, storage in {storage}, snapshots in {snapshots}\n",
            env!("CARGO_PKG_VERSION")
        ),
    );
    if let Some(address) = listeners.manager.as_ref().map(shown) {
        tracing::info!("the backup manager listens on http://{address} as well");
        let _ = io::Write::write_fmt(&mut io::stdout(), format_args!("backup manager on http://{address}\n"));
    }
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

/// The path of a snapshot that has to be there, without symbolic links.
fn existing(path: &Path) -> Result<PathBuf, ServeError> {
    path.canonicalize().map_err(|source| ServeError::Snapshot { path: path.to_owned(), source })
}

/// The path of a directory that may not be there yet.
fn absolute(path: &Path) -> Result<PathBuf, ServeError> {
    let absolute = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path),
        found => found,
    };
    absolute.map_err(|source| ServeError::Path { path: path.to_owned(), source })
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
