//! The front doors: the ports, who is let in there, and until when.
//!
//! A port is taken long before anybody can connect to it, so that who cannot have it learns so before anything is done.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::ServeError;
use crate::app::App;
use crate::config::{Config, KeptIn};
use crate::http;
use crate::listen::{ListenError, Port};
use crate::tls::Tls;

/// The ports of this process.
pub(super) struct Ports {
    service: Port,
    manager: Option<Port>,
}

/// The ports, with clients that may connect.
pub(super) struct Listeners {
    service: TcpListener,
    manager: Option<TcpListener>,
}

impl Ports {
    pub(super) async fn take(config: &Config) -> Result<Self, ListenError> {
        let service = Port::take(&config.service.host, config.service.http_port, "service.http_port").await?;
        let host = config.manager.host.as_ref().unwrap_or(&config.service.host);
        let manager = match config.manager.port {
            Some(port) => Some(Port::take(host, port, "manager.port").await?),
            None => None,
        };
        Ok(Self { service, manager })
    }

    pub(super) fn listen(self) -> Result<Listeners, ListenError> {
        Ok(Listeners { service: self.service.listen()?, manager: self.manager.map(Port::listen).transpose()? })
    }
}

impl Listeners {
    /// Where the service is, if the system says so.
    pub(super) fn service_address(&self) -> Option<SocketAddr> {
        self.service.local_addr().ok()
    }
}

/// Answers requests until the end is asked for and the time for draining is over, or all are answered and all that they began is
/// done.
pub(super) async fn answer(app: &Arc<App>, listeners: Listeners, tls: Option<Tls>) -> Result<(), ServeError> {
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

/// Says where the server listens, and where its data is.
pub(super) fn announce(app: &App, listeners: &Listeners) {
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
