//! Reads of points: by id, in pages, in the order of a field, counted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::filter::Filter;
use icecore_storage::payload::JsonPath;
use icecore_storage::{Facet, OrderedScroll, Record, Select, WithVectors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::facet::{FacetRequest, Facets};
use super::filter::FilterSchema;
use super::id::{self, Id};
use super::order::{OrderBy, facet_kind, order_kind};
use super::record::RenderedRecord;
use super::rows::{self, RowLens};
use super::select::{WithPayload, WithVector, select};
use super::shard_key::ShardKey;
use super::target::ids;
use crate::app::App;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, InCollection};

/// Points on a page, and values of a facet, if the request does not say (source: Qdrant).
const LIMIT_DEFAULT: usize = 10;

/// Which points, and which parts of them; `with_vectors` is understood for `with_vector`.
#[derive(Deserialize, ToSchema)]
#[schema(as = RetrievePoints)]
pub(super) struct Retrieve {
    ids: Vec<Id>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    #[serde(default)]
    shard_key: ShardKey,
}

/// Which points, and which parts of them; `with_vectors` is understood for `with_vector`.
#[derive(Deserialize, ToSchema)]
#[schema(as = ScrollPoints)]
pub(super) struct Scroll {
    offset: Option<Id>,
    #[schema(minimum = 1)]
    limit: Option<usize>,
    #[schema(value_type = Option<FilterSchema>)]
    filter: Option<Filter>,
    order_by: Option<OrderBy>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    #[serde(default)]
    shard_key: ShardKey,
}

/// Which points are counted.
#[derive(Deserialize, ToSchema)]
#[schema(as = CountPoints)]
pub(super) struct Count {
    #[schema(value_type = Option<FilterSchema>)]
    filter: Option<Filter>,
    #[serde(default)]
    shard_key: ShardKey,
}

/// A page of points.
#[derive(Serialize, ToSchema)]
pub(super) struct Scrolled {
    points: Vec<RenderedRecord>,
    /// Null after the last page.
    #[schema(required)]
    next_page_offset: Option<Id>,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
pub(super) struct Counted {
    count: u64,
}

/// `GET /collections/{collection}/points/{id}`
pub(in crate::http::qdrant) async fn get(State(app): State<Arc<App>>, path: InCollection<String>) -> Response {
    answer(move || {
        let id = id::from_path(&path.rest)?;
        let (collection, select) = (&path.collection, Select::WHOLE);
        let read = || app.storage.retrieve(collection, &[id], &select);
        let (mut records, rows) = rows::read(&app.storage, collection, &select, read)?;
        match records.pop() {
            Some(record) => RenderedRecord::new(record, &WithPayload::Whole(true), true, &rows),
            None => Err(ApiError::not_found(format!("Point with id {id} does not exists!"))),
        }
    })
    .await
}

/// `POST /collections/{collection}/points`
pub(in crate::http::qdrant) async fn retrieve(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: Retrieve = body.parse()?;
        request.shard_key.refuse()?;
        let (collection, ids) = (&path.collection, ids(request.ids));
        let payload = request.with_payload.unwrap_or(WithPayload::Whole(true));
        let select = select(&payload, request.with_vector);
        let read = || app.storage.retrieve(collection, &ids, &select);
        let (records, rows) = rows::read(&app.storage, collection, &select, read)?;
        rendered(records, &payload, &select, &rows)
    })
    .await
}

/// `POST /collections/{collection}/points/scroll`
pub(in crate::http::qdrant) async fn scroll(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: Scroll = body.parse()?;
        request.shard_key.refuse()?;
        let limit = limit(request.limit)?;
        let collection = &path.collection;
        let payload = request.with_payload.unwrap_or(WithPayload::Whole(true));
        let select = select(&payload, request.with_vector);
        if let Some(order) = request.order_by {
            if request.offset.is_some() {
                return Err(ApiError::wrong_input(
                    "Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` and a \
                     filter to exclude the IDs that you've already seen for the `order_by.start_from` value",
                ));
            }
            return ordered(&app, collection, order, limit, request.filter, &payload, select);
        }
        let from = request.offset.map(|id| id.0);
        let scroll = icecore_storage::Scroll { from, limit, filter: request.filter, select };
        let read = || app.storage.scroll(collection, &scroll);
        let (page, rows) = rows::read(&app.storage, collection, &scroll.select, read)?;
        let points = rendered(page.records, &payload, &scroll.select, &rows)?;
        Ok(Scrolled { points, next_page_offset: page.next.map(Id) })
    })
    .await
}

/// A page in the order of a field; it has no offset of a next one.
fn ordered(
    app: &App,
    collection: &str,
    order: OrderBy,
    limit: usize,
    filter: Option<Filter>,
    payload: &WithPayload,
    select: Select,
) -> ApiResult<Scrolled> {
    let OrderBy { key, descending, start_from } = order;
    let kind = order_kind(schema(app, collection, &key)?.as_ref());
    let scroll = OrderedScroll { key, kind, descending, start_from, limit, filter, select };
    let read = || app.storage.scroll_ordered(collection, &scroll);
    let (entries, rows) = rows::read(&app.storage, collection, &scroll.select, read)?;
    let with_vectors = scroll.select.vectors != WithVectors::None;
    let points = entries
        .into_iter()
        .map(|(record, value)| Ok(RenderedRecord::new(record, payload, with_vectors, &rows)?.ordered_by(value)))
        .collect::<ApiResult<_>>()?;
    Ok(Scrolled { points, next_page_offset: None })
}

/// `POST /collections/{collection}/points/count`. Every count is exact.
pub(in crate::http::qdrant) async fn count(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: Count = body.parse()?;
        request.shard_key.refuse()?;
        Ok(Counted { count: app.storage.count(&path.collection, request.filter.as_ref())? })
    })
    .await
}

/// `POST /collections/{collection}/facet`
pub(in crate::http::qdrant) async fn facet(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let request: FacetRequest = body.parse()?;
        request.shard_key.refuse()?;
        let limit = limit(request.limit)?;
        let kind = facet_kind(schema(&app, &path.collection, &request.key)?.as_ref());
        let facet = Facet { key: request.key, kind, limit, filter: request.filter };
        Ok(Facets::from(app.storage.facet(&path.collection, &facet)?))
    })
    .await
}

fn limit(given: Option<usize>) -> ApiResult<usize> {
    match given {
        Some(0) => Err(ApiError::invalid("JSON body", "limit", "value 0 invalid, must be 1 or larger")),
        Some(limit) => Ok(limit),
        None => Ok(LIMIT_DEFAULT),
    }
}

/// The schema of the index of a field, whatever its spelling, if there is one.
fn schema(app: &App, collection: &str, key: &JsonPath) -> ApiResult<Option<Value>> {
    let mut fields = app.storage.info(collection)?.payload_schema.into_iter();
    Ok(fields.find(|(field, _)| field.parse().is_ok_and(|path: JsonPath| path == *key)).map(|(_, schema)| schema))
}

fn rendered(records: Vec<Record>, payload: &WithPayload, select: &Select, rows: &RowLens) -> ApiResult<Vec<RenderedRecord>> {
    let with_vectors = select.vectors != WithVectors::None;
    records.into_iter().map(|record| RenderedRecord::new(record, payload, with_vectors, rows)).collect()
}
