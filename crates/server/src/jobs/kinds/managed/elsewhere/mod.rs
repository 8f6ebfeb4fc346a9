//! The same jobs on a cluster of other machines: its snapshots go into a store here, and archives of a store go there.
//!
//! A job waits for the cluster only together with the wish that it stops, so a cluster that is silent holds nobody up. What it has
//! asked the cluster for and does not need any more is removed there, also by the next run. What the cluster refuses, the job says in
//! the cluster's words. What snapshots are made of is not looked at here. The backup of a whole cluster is its archives and a set that lists
//! them.

mod arrival;
mod backup;
mod nodes;
mod restore;
mod set_backup;
mod set_restore;

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;

pub(super) use backup::{noted, place};

use super::{ManagedError, Order};
use crate::app::App;
use crate::clusters::Remote;
use crate::error::Result;
use crate::jobs::{JobKind, Running};

/// A cluster, and the job that deals with it.
struct Site<'a> {
    app: &'a App,
    remote: Arc<Remote>,
    running: &'a Running,
}

/// Does a job on the cluster of this name. Errors: the settings have none of that name any more.
pub(super) fn run(app: &App, cluster: &str, order: &Order, running: &Running) -> Result<Value> {
    let unknown = || ManagedError::UnknownCluster { name: cluster.to_owned() };
    let site = Site { app, remote: app.clusters.remote(cluster).ok_or_else(unknown)?, running };
    match order.kind {
        JobKind::Restore | JobKind::ShardRestore => restore::run(&site, order),
        _ => backup::run(&site, order),
    }
}

impl Site<'_> {
    /// Waits for what a cluster does. The only error is that the job has to stop.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        self.app.clusters.runtime().block_on(async {
            tokio::select! {
                // What is there counts, even if somebody has lost patience in the same instant.
                biased;
                answer = answer => Ok(answer),
                () = self.running.cancellation().cancelled() => Err(icecore_archive::Error::Cancelled.into()),
                () = self.app.shutdown.forced() => Err(icecore_archive::Error::Cancelled.into()),
            }
        })
    }
}
