//! Snapshots of one shard: create, list, download, delete, and one that is streamed without being kept.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_archive::WriteSink;
use icecore_storage::Scope;

use super::described::{COLLECTION, SHARD, SNAPSHOT, SNAPSHOTS, in_shard};
use super::snapshots::{Description, deleting, described, downloading, make, making, opened, remove};
use crate::app::App;
use crate::http::download::{self, Asked};
use crate::http::envelope::{answer, respond};
use crate::http::extract::{InShard, Making, Query, Wait};
use crate::http::openapi::{Door, Operation};
use crate::usecases::create::Cut;
use crate::usecases::naming;

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    const ALL: &str = "/collections/{collection}/shards/{shard}/snapshots";
    const ONE: &str = "/collections/{collection}/shards/{shard}/snapshots/{name}";
    let some = |id, summary| in_shard(SNAPSHOTS, id, summary);
    let one = |id, summary| Operation::new(SNAPSHOTS, id, summary).path(&[COLLECTION, SHARD, SNAPSHOT]).errors(&[404]);
    Door::new()
        .get(ALL, list, some("list_shard_snapshots", "The archives of a shard").results::<Description>())
        .post(ALL, create, making(some("create_shard_snapshot", "Archive a shard")))
        .get(ONE, download, downloading(one("get_shard_snapshot", "Download an archive of a shard")))
        .delete(ONE, delete, deleting(one("delete_shard_snapshot", "Delete an archive of a shard")))
        .get(
            "/collections/{collection}/shards/{shard}/snapshot",
            stream,
            some("stream_shard_snapshot", "Archive a shard without keeping the archive")
                .archive("The archive, while it is made."),
        )
}

/// `GET /collections/{collection}/shards/{shard}/snapshots`
pub(super) async fn list(State(app): State<Arc<App>>, path: InShard) -> Response {
    answer(move || described(&app, &scope(path).0)).await
}

/// `POST /collections/{collection}/shards/{shard}/snapshots`
pub(super) async fn create(State(app): State<Arc<App>>, path: InShard, query: Query<Making>) -> Response {
    make(app, scope(path).0, query.0).await
}

/// `GET /collections/{collection}/shards/{shard}/snapshots/{name}`
pub(super) async fn download(State(app): State<Arc<App>>, path: InShard<String>, asked: Asked) -> Response {
    respond(move |_| {
        let (scope, name) = scope(path);
        opened(&app, &scope, &name, &asked)
    })
    .await
}

/// `DELETE /collections/{collection}/shards/{shard}/snapshots/{name}`
pub(super) async fn delete(State(app): State<Arc<App>>, path: InShard<String>, query: Query<Wait>) -> Response {
    let (scope, name) = scope(path);
    remove(app, scope, name, query.0).await
}

/// `GET /collections/{collection}/shards/{shard}/snapshot`
///
/// The archive is made while it is sent, and its length is known before. It is cut when the request comes, and a client that takes
/// its time holds on to the files of the cut, and to nothing that a writer needs.
pub(super) async fn stream(State(app): State<Arc<App>>, path: InShard) -> Response {
    respond(move |_| {
        // The archive is called after the collection, by whatever alias it was asked for.
        let scope = Scope::Shard { collection: app.storage.resolve(&path.collection)?, shard: path.shard };
        let cut = Cut::take(&app, &scope)?;
        let name = naming::streamed(&scope, app.clock.now());
        let len = cut.plan().archive_len();
        let sender = Arc::clone(&app);
        let produce = move |out: &mut dyn io::Write| cut.write(&sender, &mut WriteSink(out), &sender.shutdown).map(drop);
        Ok(download::streamed(&app, len, &name, produce))
    })
    .await
}

fn scope<T>(path: InShard<T>) -> (Scope, T) {
    (Scope::Shard { collection: path.collection, shard: path.shard }, path.rest)
}
