//! Reads of points: by id, in pages, counted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::{Record, Select, WithVectors};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::refuse_conditions;
use super::id::{self, Id};
use super::record::RenderedRecord;
use super::select::{WithPayload, WithVector, select};
use crate::app::App;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, InCollection};

/// Points on a page if the request does not say (source: Qdrant).
const LIMIT_DEFAULT: usize = 10;

#[derive(Deserialize)]
struct Retrieve {
    ids: Vec<Id>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Scroll {
    offset: Option<Id>,
    limit: Option<usize>,
    filter: Option<Value>,
    order_by: Option<IgnoredAny>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Count {
    filter: Option<Value>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct Scrolled {
    points: Vec<RenderedRecord>,
    next_page_offset: Option<Id>,
}

#[derive(Serialize)]
struct Counted {
    count: u64,
}

/// `GET /collections/{collection}/points/{id}`
pub(in crate::http::qdrant) async fn get(State(app): State<Arc<App>>, path: InCollection<String>) -> Response {
    answer(move || {
        let id = id::from_path(&path.rest)?;
        let everything = Select { payload: true, vectors: WithVectors::All };
        match app.storage.retrieve(&path.collection, &[id], &everything)?.pop() {
            Some(record) => RenderedRecord::new(record, &WithPayload::Whole(true), true),
            None => Err(ApiError::not_found(format!("Point with id {id} does not exists!"))),
        }
    })
    .await
}

/// `POST /collections/{collection}/points`
pub(in crate::http::qdrant) async fn retrieve(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: Retrieve = body.parse()?;
        refuse("shard_key", request.shard_key)?;
        let ids: Vec<_> = request.ids.iter().map(|id| id.0).collect();
        let payload = request.with_payload.unwrap_or(WithPayload::Whole(true));
        let select = select(&payload, request.with_vector);
        rendered(app.storage.retrieve(&path.collection, &ids, &select)?, &payload, &select)
    })
    .await
}

/// `POST /collections/{collection}/points/scroll`
pub(in crate::http::qdrant) async fn scroll(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: Scroll = body.parse()?;
        refuse("shard_key", request.shard_key)?;
        refuse("order_by", request.order_by)?;
        refuse_conditions(request.filter.as_ref())?;
        let limit = request.limit.unwrap_or(LIMIT_DEFAULT);
        if limit == 0 {
            return Err(ApiError::invalid("JSON body", "limit", "value 0 invalid, must be 1 or larger"));
        }
        let payload = request.with_payload.unwrap_or(WithPayload::Whole(true));
        let select = select(&payload, request.with_vector);
        let page = app.storage.scroll(&path.collection, request.offset.map(|id| id.0), limit, &select)?;
        Ok(Scrolled { points: rendered(page.records, &payload, &select)?, next_page_offset: page.next.map(Id) })
    })
    .await
}

/// `POST /collections/{collection}/points/count`. Every count is exact.
pub(in crate::http::qdrant) async fn count(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: Count = body.parse()?;
        refuse("shard_key", request.shard_key)?;
        refuse_conditions(request.filter.as_ref())?;
        Ok(Counted { count: app.storage.count(&path.collection)? })
    })
    .await
}

fn rendered(records: Vec<Record>, payload: &WithPayload, select: &Select) -> ApiResult<Vec<RenderedRecord>> {
    let with_vectors = select.vectors != WithVectors::None;
    records.into_iter().map(|record| RenderedRecord::new(record, payload, with_vectors)).collect()
}

fn refuse(field: &str, value: Option<IgnoredAny>) -> ApiResult<()> {
    if value.is_some() { Err(ApiError::unsupported(field)) } else { Ok(()) }
}
