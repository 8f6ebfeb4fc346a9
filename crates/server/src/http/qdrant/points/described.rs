//! The routes of points, and what they mean.

use super::batch::Batch;
use super::facet::{FacetRequest, Facets};
use super::payload_change::{DeletePayload, SetPayload};
use super::read::{Count, Counted, Retrieve, Scroll, Scrolled};
use super::record::RenderedRecord;
use super::result::UpdateResult;
use super::target::Selector;
use super::upsert::Upsert;
use super::vector_change::{DeleteVectors, UpdateVectors};
use super::{read, write};
use crate::http::extract::Wait;
use crate::http::openapi::{Door, Operation};
use crate::http::qdrant::described::{COLLECTION, POINT, POINTS, in_collection};

/// The routes of points.
pub(in crate::http::qdrant) fn routes() -> Door {
    reads().merge(writes())
}

fn reads() -> Door {
    let read = |id, summary| in_collection(POINTS, id, summary);
    Door::new()
        .get(
            "/collections/{collection}/points/{id}",
            read::get,
            Operation::new(POINTS, "get_point", "A point").path(&[COLLECTION, POINT]).result::<RenderedRecord>().errors(&[404]),
        )
        .post(
            "/collections/{collection}/points",
            read::retrieve,
            read("get_points", "Points by their ids").json::<Retrieve>().results::<RenderedRecord>(),
        )
        .post(
            "/collections/{collection}/points/scroll",
            read::scroll,
            read("scroll_points", "Points page by page, by their ids or in the order of a payload field")
                .json::<Scroll>()
                .result::<Scrolled>(),
        )
        .post(
            "/collections/{collection}/points/count",
            read::count,
            read("count_points", "How many points there are, exactly").json::<Count>().result::<Counted>(),
        )
        .post(
            "/collections/{collection}/facet",
            read::facet,
            read("facet", "How many points have each value of a payload field").json::<FacetRequest>().result::<Facets>(),
        )
}

fn writes() -> Door {
    let write = |id, summary| {
        in_collection(POINTS, id, summary)
            .notes("Who waits is answered when the change survives a power cut, others when it survives the end of the process.")
            .query::<Wait>()
    };
    let one = |id, summary| write(id, summary).result::<UpdateResult>();
    Door::new()
        .put("/collections/{collection}/points", write::upsert, one("upsert_points", "Insert or replace points").json::<Upsert>())
        .post("/collections/{collection}/points/delete", write::delete, one("delete_points", "Delete points").json::<Selector>())
        .post(
            "/collections/{collection}/points/payload",
            write::set_payload,
            one("set_payload", "Set keys of payloads").json::<SetPayload>(),
        )
        .put(
            "/collections/{collection}/points/payload",
            write::overwrite_payload,
            one("overwrite_payload", "Replace payloads").json::<SetPayload>(),
        )
        .post(
            "/collections/{collection}/points/payload/delete",
            write::delete_payload,
            one("delete_payload", "Delete keys of payloads").json::<DeletePayload>(),
        )
        .post(
            "/collections/{collection}/points/payload/clear",
            write::clear_payload,
            one("clear_payload", "Delete payloads").json::<Selector>(),
        )
        .put(
            "/collections/{collection}/points/vectors",
            write::update_vectors,
            one("update_vectors", "Replace vectors of points").json::<UpdateVectors>(),
        )
        .post(
            "/collections/{collection}/points/vectors/delete",
            write::delete_vectors,
            one("delete_vectors", "Delete vectors of points").json::<DeleteVectors>(),
        )
        .post(
            "/collections/{collection}/points/batch",
            write::batch,
            write("batch_update", "Several changes, made one after the other").json::<Batch>().results::<UpdateResult>(),
        )
}
