//! Which cluster a request is about: `?cluster=NAME`, or the default one.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::clusters::Cluster;
use crate::http::envelope::ApiError;
use crate::http::extract::Query;

/// The cluster that a request is about.
#[derive(Debug)]
pub(super) struct On(pub(super) Cluster);

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Named {
    /// The name of a cluster; the default one if it is not given.
    #[param(value_type = String, required = false)]
    cluster: Option<String>,
}

impl FromRequestParts<Arc<App>> for On {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Query(Named { cluster }) = Query::from_request_parts(parts, app).await?;
        Ok(Self(Cluster::find(app, cluster.as_deref())?))
    }
}
