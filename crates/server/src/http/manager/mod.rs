//! The API of the backup manager, below `/api/v1`: one file a resource, the routes of all of them here.

mod events;
mod job;
mod jobs;
mod live;

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// All routes, with their prefix.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().nest("/api/v1", jobs::routes().merge(live::routes()).merge(events::routes()))
}
