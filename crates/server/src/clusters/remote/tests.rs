//! A cluster that is a server of our own, in memory and on a loopback port.

use std::io::{Cursor, Read};
use std::sync::Arc;

use icecore_io::MemFs;
use icecore_storage::{AliasAction, Scope};
use tokio::net::TcpListener;

use super::transfer::{Alias, Upload};
use super::*;
use crate::app::App;
use crate::clusters::{ClusterError, Priority};
use crate::jobs::kinds::Waiting;
use crate::{http, testing};

/// A server with the collection `c`, and the cluster that it is.
async fn running() -> (Arc<App>, Remote) {
    let app = Arc::new(testing::app(&MemFs::new()));
    app.jobs.start().unwrap();
    testing::fill(&app, "c", 2, "before");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = Arc::clone(&app);
    tokio::spawn(async move {
        let routes = http::router(Arc::clone(&serving));
        http::serve(listener, routes, &serving.config.service, None, serving.shutdown.clone()).await
    });
    let settings = ClusterSettings { name: "other".to_owned(), urls: vec![url], api_key: None, ca_cert: None };
    (app, Remote::new(&settings, Duration::from_secs(60)).unwrap())
}

fn of(collection: &str) -> Scope {
    Scope::Collection(collection.to_owned())
}

async fn read(mut body: impl Read + Send + 'static) -> std::io::Result<Vec<u8>> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map(|_| bytes)
    });
    reading.await.unwrap()
}

fn upload(len: u64, checksum: Option<String>) -> Upload {
    Upload { scope: of("copy"), len, priority: Priority::Snapshot, checksum }
}

#[tokio::test]
async fn a_snapshot_goes_out_of_a_cluster_and_into_one() {
    let (app, cluster) = running().await;
    let made = cluster.create_snapshot(&of("c"), Waiting::Caller).await.unwrap().unwrap();
    let fetched = cluster.fetch(&of("c"), &made.name).await.unwrap();
    assert_eq!(fetched.len, Some(made.size));
    let bytes = read(fetched.body).await.unwrap();
    assert_eq!(icecore_archive::Sha256Digest::of(&bytes).to_string(), made.checksum.clone().unwrap());
    cluster.upload(upload(made.size, made.checksum), Cursor::new(bytes)).await.unwrap();
    assert_eq!(testing::label(&app, "copy"), "before");
}

#[tokio::test]
async fn an_upload_that_is_short_or_wrong_changes_nothing() {
    let (app, cluster) = running().await;
    let made = cluster.create_snapshot(&of("c"), Waiting::Caller).await.unwrap().unwrap();
    let bytes = read(cluster.fetch(&of("c"), &made.name).await.unwrap().body).await.unwrap();
    let short = Cursor::new(bytes[..bytes.len() - 1].to_vec());
    assert!(matches!(cluster.upload(upload(made.size, None), short).await, Err(ClusterError::Unavailable { .. })));
    let wrong = cluster.upload(upload(made.size, Some("0".repeat(64))), Cursor::new(bytes)).await;
    assert!(matches!(wrong, Err(ClusterError::Answer { status: 400, .. })), "{wrong:?}");
    assert_eq!(app.storage.collections(), ["c"]);
}

#[tokio::test]
async fn what_is_not_there_is_the_clusters_own_error() {
    let (_app, cluster) = running().await;
    let missing = cluster.fetch(&of("c"), "none.snapshot").await.unwrap_err();
    assert_eq!(missing.to_string(), "Not found: Snapshot none.snapshot not found");
    let missing = cluster.snapshots(&of("none")).await.unwrap_err();
    assert_eq!(missing.to_string(), "Not found: Collection `none` doesn't exist!");
}

#[tokio::test]
async fn aliases_are_listed() {
    let (app, cluster) = running().await;
    assert_eq!(cluster.aliases().await.unwrap(), []);
    app.storage.update_aliases(&[AliasAction::Create { collection: "c".to_owned(), alias: "a".to_owned() }]).unwrap();
    assert_eq!(cluster.aliases().await.unwrap(), [Alias { alias_name: "a".to_owned(), collection_name: "c".to_owned() }]);
}

#[tokio::test]
async fn the_next_node_is_asked_when_one_is_gone_and_one_alone_when_that_is_meant() {
    let (_app, running) = running().await;
    let gone = "http://127.0.0.1:1".parse().unwrap();
    let settings =
        ClusterSettings { name: "other".to_owned(), urls: vec![gone, running.urls[0].clone()], api_key: None, ca_cert: None };
    let cluster = Remote::new(&settings, Duration::from_secs(60)).unwrap();
    assert_eq!(cluster.collections().await.unwrap(), ["c"]);
    let [first, second] = &cluster.nodes_apart()[..] else { panic!("there are two") };
    assert!(matches!(first.collections().await, Err(ClusterError::Unavailable { .. })));
    assert_eq!(second.collections().await.unwrap(), ["c"]);
}
