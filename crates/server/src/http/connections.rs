//! Accepts connections and serves a router on them, with an end to the patience for clients that stall.
//!
//! | who | may | then |
//! |---|---|---|
//! | does not finish the handshake of TLS | [`head_timeout`](Service::head_timeout) | the connection is closed |
//! | sends no head of a request | [`head_timeout`](Service::head_timeout) | the connection is closed |
//! | sends nothing of a body that is read | [`idle_timeout`](Service::idle_timeout) | the answer is 408 (`incoming`) |
//! | takes nothing of an answer | [`idle_timeout`](Service::idle_timeout) | the connection is closed |
//!
//! The first also holds for a connection that has sent nothing yet, or waits for the next request after an answer: HTTP
//! keep-alive ends with the same time (source: hyper's `h1/conn.rs`, whose timer starts whenever a head is waited for). No time
//! is set for the answer itself: clients wait for long operations as long as they like.
//!
//! A connection may be upgraded (to a WebSocket, by the route that offers it); then its own time limits hold, and it is no longer one of
//! this port's. For that the library looks at the first bytes of every connection by itself, which is watched by [`HttpOneAcceptor`].
//!
//! A connection beyond [`connections_max`] is closed at once, so that files can still be opened. Which request gets which answer
//! is not decided here.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutWriter;

use super::http_one::HttpOneAcceptor;
use crate::config::Service;
use crate::shutdown::Shutdown;

/// The part of the files that a process may have open that the connections of one port may be.
const SHARE_OF_FILES: u64 = 4;

/// How long clients may stall, and how many there may be.
#[derive(Debug, Clone, Copy)]
struct Limits {
    head: Duration,
    idle: Duration,
    connections: usize,
}

/// Answers requests until the end is asked for and all that had begun by then are answered; with `tls`, only encrypted ones.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    service: &Service,
    tls: Option<RustlsConfig>,
    shutdown: Shutdown,
) -> io::Result<()> {
    let limits = Limits { head: service.head_timeout(), idle: service.idle_timeout(), connections: connections_max() };
    serve_within(limits, listener, routes, tls, shutdown).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    routes: Router,
    tls: Option<RustlsConfig>,
    shutdown: Shutdown,
) -> io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    let plain = Acceptor { limits, handle: handle.clone() };
    let server = Server::from_listener(listener).handle(handle.clone());
    match tls {
        None => accept(server.acceptor(HttpOneAcceptor::new(plain, limits.head)), limits, routes, &handle, shutdown).await,
        Some(config) => {
            let encrypted = RustlsAcceptor::new(config).handshake_timeout(limits.head).acceptor(plain);
            accept(server.acceptor(HttpOneAcceptor::new(encrypted, limits.head)), limits, routes, &handle, shutdown).await
        }
    }
}

async fn accept<A>(
    mut server: Server<SocketAddr, A>,
    limits: Limits,
    routes: Router,
    handle: &Handle<SocketAddr>,
    shutdown: Shutdown,
) -> io::Result<()>
where
    A: Accept<TcpStream, Router, Service = Router> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Future: Send,
{
    // Not `http1_only`, with which the library offers no upgrades.
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    let mut serving = pin!(server.serve(routes.into_make_service()));
    tokio::select! {
        result = &mut serving => return result,
        () = shutdown.requested() => handle.graceful_shutdown(None),
    }
    serving.await
}

/// How many connections a port may have.
fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files / SHARE_OF_FILES).ok()).unwrap_or(usize::MAX)
}

/// Decides on a new connection, and watches what is written to it.
#[derive(Debug, Clone)]
struct Acceptor {
    limits: Limits,
    handle: Handle<SocketAddr>,
}

impl Acceptor {
    fn admit(&self, stream: TcpStream) -> io::Result<Pin<Box<TimeoutWriter<TcpStream>>>> {
        // This one is counted already.
        if self.handle.connection_count() > self.limits.connections {
            tracing::debug!("a connection is closed: there are {} already", self.limits.connections);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        // An answer is written as a whole, and its last packet need not wait for more.
        stream.set_nodelay(true)?;
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.limits.idle));
        Ok(Box::pin(stream))
    }
}

impl<S> Accept<TcpStream, S> for Acceptor {
    type Stream = Pin<Box<TimeoutWriter<TcpStream>>>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream).map(|stream| (stream, service)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use axum::body::{Body, Bytes, HttpBody};
    use axum::routing::get;
    use http_body::Frame;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Longer than any of it takes; only a failing test waits for it.
    const BOUND: Duration = Duration::from_secs(60);
    const LIMITS: Limits = Limits { head: Duration::from_secs(60), idle: Duration::from_secs(60), connections: usize::MAX };

    struct Running {
        address: SocketAddr,
        shutdown: Shutdown,
        server: JoinHandle<io::Result<()>>,
    }

    impl Running {
        async fn start(limits: Limits, routes: Router) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
            let server = tokio::spawn(serve_within(limits, listener, routes, None, shutdown.clone()));
            Self { address, shutdown, server }
        }

        async fn connect(&self, sent: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            stream
        }
    }

    /// Reads an answer up to the end of its short body.
    async fn answer(stream: &mut TcpStream, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            assert_ne!(timeout(BOUND, stream.read_buf(&mut bytes)).await.unwrap().unwrap(), 0, "{bytes:?}");
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Reads until the server closes the connection, however it does.
    async fn closed(stream: &mut TcpStream) {
        let mut bytes = Vec::new();
        let _ = timeout(BOUND, stream.read_to_end(&mut bytes)).await.unwrap();
    }

    fn hello() -> Router {
        Router::new().route("/", get(async || "hello"))
    }

    #[tokio::test]
    async fn who_sends_no_head_is_cut_off_and_so_is_an_idle_connection() {
        let limits = Limits { head: Duration::from_millis(200), ..LIMITS };
        let server = Running::start(limits, hello()).await;
        closed(&mut server.connect("").await).await;
        closed(&mut server.connect("GET / HTT").await).await;
        let mut kept = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer(&mut kept, "hello").await.starts_with("HTTP/1.1 200 OK"));
        closed(&mut kept).await;
    }

    #[tokio::test]
    async fn a_connection_serves_more_than_one_request() {
        let server = Running::start(LIMITS, hello()).await;
        let mut stream = server.connect("").await;
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            assert!(answer(&mut stream, "hello").await.starts_with("HTTP/1.1 200 OK"));
        }
    }

    /// A body without end; the sender goes with it.
    struct Endless {
        _dropped: oneshot::Sender<()>,
    }

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 64 * 1024])))))
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_cut_off() {
        let (sender, dropped) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let routes = Router::new().route(
            "/",
            get(async move || {
                let sender = sender.lock().unwrap().take();
                Body::new(Endless { _dropped: sender.unwrap() })
            }),
        );
        let server = Running::start(Limits { idle: Duration::from_secs(1), ..LIMITS }, routes).await;
        let stream = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        timeout(BOUND, dropped).await.unwrap().unwrap_err();
        drop(stream);
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_is_not_stalling() {
        let (idle, longer) = (Duration::from_millis(50), Duration::from_millis(300));
        let routes = Router::new().route(
            "/",
            get(async move || {
                sleep(longer).await;
                "hello"
            }),
        );
        let server = Running::start(Limits { idle, head: idle, ..LIMITS }, routes).await;
        let mut stream = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer(&mut stream, "hello").await.starts_with("HTTP/1.1 200 OK"));
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed() {
        let server = Running::start(Limits { connections: 1, ..LIMITS }, hello()).await;
        let mut first = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        answer(&mut first, "hello").await;
        closed(&mut server.connect("").await).await;
        first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        answer(&mut first, "hello").await;
    }

    #[tokio::test]
    async fn who_does_not_finish_the_handshake_is_cut_off() {
        let limits = Limits { head: Duration::from_millis(200), ..LIMITS };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
        let tls = crate::tls::testing::config();
        let server = tokio::spawn(serve_within(limits, listener, hello(), Some(tls), shutdown.clone()));
        for begun in ["", "\u{16}\u{3}\u{1}"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            closed(&mut stream).await;
        }
        shutdown.force();
        timeout(BOUND, server).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_end_waits_for_requests_that_have_begun() {
        let (begun, has_begun) = oneshot::channel();
        let (go, may_go) = oneshot::channel::<()>();
        let gates = Arc::new(Mutex::new(Some((begun, may_go))));
        let routes = Router::new().route(
            "/",
            get(async move || {
                let taken = gates.lock().unwrap().take();
                let (begun, may_go) = taken.unwrap();
                begun.send(()).unwrap();
                may_go.await.unwrap();
                "hello"
            }),
        );
        let server = Running::start(LIMITS, routes).await;
        let mut idle = server.connect("").await;
        let mut busy = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        has_begun.await.unwrap();
        server.shutdown.force();
        closed(&mut idle).await;
        assert!(!server.server.is_finished());
        go.send(()).unwrap();
        assert!(answer(&mut busy, "hello").await.starts_with("HTTP/1.1 200 OK"));
        timeout(BOUND, server.server).await.unwrap().unwrap().unwrap();
    }
}
