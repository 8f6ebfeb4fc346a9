//! Fetches from small servers on the loopback: what they answer, what they were asked, and what comes of it.

mod server;

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use url::Url;

use super::resolve::Resolver;
use super::{FetchError, Fetcher, Policy, Stopping, Timeouts};
use crate::cancellation::Cancellation;
use crate::error::Kind;
use crate::shutdown::Shutdown;
use server::{Answer, Server};

/// Long enough for a loaded machine to answer.
const PATIENT: Timeouts = Timeouts { connect: Duration::from_secs(30), idle: Duration::from_secs(30) };
/// For remotes that never say what is waited for.
const IMPATIENT: Timeouts = Timeouts { connect: Duration::from_secs(30), idle: Duration::from_millis(100) };

/// A fetcher with its runtime, to be called from the test's own thread.
struct Client {
    fetcher: Fetcher,
    shutdown: Shutdown,
    _runtime: Runtime,
}

impl Client {
    fn new(policy: Policy, timeouts: Timeouts, resolver: Resolver) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shutdown = Shutdown::new();
        let fetcher = Fetcher::with_resolver(policy, timeouts, runtime.handle().clone(), shutdown.clone(), resolver);
        Self { fetcher, shutdown, _runtime: runtime }
    }

    fn patient() -> Self {
        Self::new(Policy::default(), PATIENT, names(&[&["127.0.0.1"]]))
    }

    fn impatient() -> Self {
        Self::new(Policy::default(), IMPATIENT, names(&[]))
    }

    fn open(&self, url: &str) -> Result<super::fetch::Remote, FetchError> {
        self.fetcher.open(&Url::parse(url).unwrap(), Some("hush-key"), &Cancellation::new())
    }

    fn read(&self, url: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(url).unwrap().body.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// The error, after a look at what it shows: none of the secrets that these tests use.
    fn refused(&self, url: &str) -> FetchError {
        let error = self.open(url).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hush"), "{shown}");
        error
    }
}

/// Any name has the first of these lists of addresses, then the next; the last stays.
fn names(answers: &[&[&str]]) -> Resolver {
    let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let answers = Mutex::new(answers.iter().map(parse).collect::<VecDeque<_>>());
    Resolver::new(move |_| {
        let mut answers = answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(std::future::ready(answer.ok_or_else(|| io::Error::other("no such name"))))
    })
}

#[test]
fn a_body_arrives_as_it_is_with_its_length() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let server = Server::start(vec![Answer::ok(&body)]);
    let client = Client::patient();
    let mut remote = client.open(&server.url("/a.snapshot")).unwrap();
    assert_eq!(remote.len, Some(3_000_000));
    let mut read = Vec::new();
    remote.body.read_to_end(&mut read).unwrap();
    assert!(read == body);

    let head = server.requests().remove(0).to_ascii_lowercase();
    assert!(head.starts_with("get /a.snapshot http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
    assert!(head.contains(concat!("\r\nuser-agent: icecore/", env!("CARGO_PKG_VERSION"), "\r\n")), "{head}");
    assert!(head.contains("\r\napi-key: hush-key\r\n"), "{head}");
    assert!(!head.contains("cookie") && !head.contains("referer"), "{head}");
}

#[test]
fn a_chunked_body_has_no_length_and_its_end_is_known() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = Server::start(vec![Answer::raw(&format!("{head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))]);
    assert_eq!(Client::patient().open(&whole.url("/")).unwrap().len, None);
    let whole = Server::start(vec![Answer::raw(&format!("{head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))]);
    assert_eq!(Client::patient().read(&whole.url("/")).unwrap(), b"abcde");

    let cut = Server::start(vec![Answer::raw(&format!("{head}3\r\nabc\r\n2\r\nd"))]);
    assert_eq!(Client::patient().read(&cut.url("/")).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let cut = Server::start(vec![Answer::raw(&format!("{head}3\r\nabc\r\n"))]);
    assert_eq!(Client::patient().read(&cut.url("/")).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_body_shorter_than_announced_is_an_error_without_secrets() {
    let server = Server::start(vec![Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")]);
    let url = format!("http://user:hush@127.0.0.1:{}/a?sig=hush", server.port);
    let error = Client::patient().read(&url).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let text = format!("{error} {error:?}");
    assert!(text.contains("after 3 of 10 bytes") && text.contains("/a?…") && !text.contains("hush"), "{text}");
}

#[test]
fn a_body_longer_than_announced_is_cut_there() {
    let server = Server::start(vec![Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")]);
    assert_eq!(Client::patient().read(&server.url("/")).unwrap(), b"abc");
}

#[test]
fn a_silent_remote_is_given_up() {
    let mute = Server::start(vec![Answer::raw("").held()]);
    let error = Client::impatient().refused(&mute.url("/a?sig=hush"));
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(error.to_string(), format!("Http request error: {}?…: no response within 100ms", mute.url("/a")));

    let stalled = Server::start(vec![Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").held()]);
    // The limit is for the head too, which a loaded machine has to send within it.
    let client = Client::new(Policy::default(), Timeouts { idle: Duration::from_secs(3), ..PATIENT }, names(&[]));
    let error = client.read(&stalled.url("/")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
}

#[test]
fn the_end_of_this_server_is_the_end_of_every_fetch() {
    let stalled = Server::start(vec![Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").held()]);
    let client = Client::patient();
    let mut body = client.open(&stalled.url("/")).unwrap().body;
    let mut three = [0; 3];
    body.read_exact(&mut three).unwrap();
    client.shutdown.force();
    let error = body.read(&mut three).unwrap_err();
    assert!(error.get_ref().is_some_and(|cause| cause.is::<Stopping>()), "{error}");

    let mute = Server::start(vec![Answer::raw("").held()]);
    assert_eq!(client.refused(&mute.url("/")).kind(), Kind::Cancelled);
}

#[test]
fn a_cancelled_fetch_ends_wherever_it_is() {
    let stalled = Server::start(vec![Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").held()]);
    let client = Client::patient();
    let cancellation = Cancellation::new();
    let mut body = client.fetcher.open(&Url::parse(&stalled.url("/")).unwrap(), None, &cancellation).unwrap().body;
    let mut three = [0; 3];
    body.read_exact(&mut three).unwrap();
    cancellation.cancel();
    let error = body.read(&mut three).unwrap_err();
    let why = error.get_ref().and_then(|cause| cause.downcast_ref::<Stopping>());
    assert_eq!(why, Some(&Stopping::Download));

    let mute = Server::start(vec![Answer::raw("").held()]);
    let error = client.fetcher.open(&Url::parse(&mute.url("/")).unwrap(), None, &cancellation).unwrap_err();
    assert!(matches!(error, FetchError::Cancelled { .. }) && error.kind() == Kind::Cancelled, "{error}");
}

#[test]
fn a_reader_that_goes_away_ends_the_connection() {
    let server = Server::start(vec![Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").held()]);
    let client = Client::patient();
    drop(client.open(&server.url("/")).unwrap());
    // The server holds the connection until the client closes it, and is joined here.
    drop(server);
}

#[test]
fn only_a_whole_body_is_accepted() {
    for (status, text) in [
        ("404 Not Found", "404 Not Found"),
        ("206 Partial Content", "206 Partial Content"),
        ("204 No Content", "204 No Content"),
        ("201 Created", "201 Created"),
        ("304 Not Modified", "304 Not Modified"),
        ("302 Found", "302 Found"),
        ("403 Forbidden", "403 Forbidden"),
        ("503 Whatever", "503 Service Unavailable"),
    ] {
        let server = Server::start(vec![Answer::raw(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))]);
        let error = Client::patient().refused(&server.url("/a?X-Amz-Signature=hush"));
        assert_eq!(error.kind(), Kind::InvalidInput);
        assert_eq!(error.to_string(), format!("Failed to download tar from {}?…: status - {text}", server.url("/a")));
    }
    let empty = Server::start(vec![Answer::ok(b"")]);
    assert!(matches!(Client::patient().refused(&empty.url("/")), FetchError::Empty { .. }));
}

#[test]
fn encoded_bodies_are_refused() {
    for header in ["Content-Encoding: gzip", "Content-Encoding: identity, br", "Transfer-Encoding: gzip, chunked"] {
        let server = Server::start(vec![Answer::raw(&format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n"))]);
        let error = Client::patient().refused(&server.url("/"));
        assert!(matches!(error, FetchError::Encoding { .. }), "{header}: {error}");
        assert!(error.to_string().contains(header.split_once(": ").unwrap().1), "{error}");
    }
    let text = "HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Length: 2\r\n\r\nab";
    let server = Server::start(vec![Answer::raw(text)]);
    assert_eq!(Client::patient().read(&server.url("/")).unwrap(), b"ab");
}

#[test]
fn what_is_not_http_or_not_there_is_an_error() {
    let other = Server::start(vec![Answer::raw("SSH-2.0-OpenSSH_9.6\r\n")]);
    let error = Client::patient().refused(&format!("http://user:hush@127.0.0.1:{}/?sig=hush", other.port));
    assert!(error.to_string().starts_with("Http request error: http://127.0.0.1:"), "{error}");
    assert_eq!(error.kind(), Kind::Internal);

    let plain = Server::start(vec![Answer::ok(b"abc")]);
    let error = Client::patient().refused(&plain.url("/").replace("http:", "https:"));
    assert!(matches!(error, FetchError::Http { .. }), "{error}");

    let gone = plain.url("/");
    drop(plain);
    let error = Client::patient().refused(&gone);
    assert!(error.to_string().contains("refused"), "{error}");

    let error = Client::impatient().refused("http://unknown.example.org/");
    assert!(error.to_string().ends_with("look up `unknown.example.org`: no such name"), "{error}");
    let none = Client::new(Policy::default(), PATIENT, names(&[&[]])).refused("http://none.example.org/");
    assert!(none.to_string().ends_with("`none.example.org` has no address"), "{none}");
}

#[test]
fn other_schemes_are_refused() {
    for scheme in ["ftp", "file", "gopher", "ws"] {
        let error = Client::impatient().refused(&format!("{scheme}://h/a?hush"));
        assert_eq!(error.to_string(), format!("URL {scheme}://h/a?… with scheme {scheme} is not supported"));
    }
}

#[test]
fn a_key_that_is_no_header_is_refused_before_anything_is_sent() {
    let url = Url::parse("http://127.0.0.1:1/").unwrap();
    let error = Client::patient().fetcher.open(&url, Some("hush\r\nhost: x"), &Cancellation::new()).unwrap_err();
    assert!(matches!(error, FetchError::ApiKey) && !format!("{error} {error:?}").contains("hush"), "{error}");
}

#[test]
fn five_redirects_are_followed_and_the_key_stays_on_its_origin() {
    let mut answers: Vec<Answer> = (1..=5).map(|hop| Answer::redirect(&format!("/{hop}"))).collect();
    answers.push(Answer::ok(b"abc"));
    let server = Server::start(answers);
    let url = format!("http://user:hush@127.0.0.1:{}/0", server.port);
    assert_eq!(Client::patient().read(&url).unwrap(), b"abc");
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    for (hop, head) in requests.iter().enumerate() {
        assert!(head.starts_with(&format!("GET /{hop} ")), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("api-key: hush-key\r\n") && head.contains("authorization: basic dxnlcjpodxno\r\n"), "{head}");
    }
}

#[test]
fn an_absolute_redirect_to_the_same_origin_keeps_user_and_key() {
    let server = Server::start(vec![Answer::redirect("http://LOCAL/b?c=d"), Answer::ok(b"abc")]);
    let url = format!("http://user:hush@127.0.0.1:{}/a", server.port);
    assert_eq!(Client::patient().read(&url).unwrap(), b"abc");
    let head = server.requests().remove(1).to_ascii_lowercase();
    assert!(head.starts_with("get /b?c=d ") && head.contains("api-key: ") && head.contains("authorization: basic "), "{head}");
}

#[test]
fn a_redirect_without_end_is_given_up() {
    let server = Server::start((0..10).map(|_| Answer::redirect("/again?hush")).collect());
    let error = Client::patient().refused(&server.url("/a?hush"));
    assert_eq!(error.to_string(), format!("{}?… redirects more than 5 times", server.url("/a")));
    assert_eq!(error.kind(), Kind::InvalidInput);
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn another_origin_gets_no_credentials_even_if_it_sends_the_fetch_back() {
    let home = Server::start(vec![Answer::redirect("/elsewhere"), Answer::redirect("http://OTHER/b"), Answer::ok(b"abc")]);
    let other = Server::start(vec![Answer::redirect(&home.url("/back"))]);
    home.set_other(other.port);
    let url = format!("http://user:hush@127.0.0.1:{}/a", home.port);
    assert_eq!(Client::patient().read(&url).unwrap(), b"abc");
    let head = other.requests().remove(0).to_ascii_lowercase();
    assert!(!head.contains("api-key") && !head.contains("authorization") && !head.contains("hush"), "{head}");
    assert!(!head.contains("referer"), "{head}");

    // The same address under another name is another origin too.
    let named = Server::start(vec![Answer::redirect("http://name.example.org:PORT/b"), Answer::ok(b"abc")]);
    assert_eq!(Client::patient().read(&named.url("/a")).unwrap(), b"abc");
    let requests = named.requests();
    assert!(requests[0].contains("api-key: hush-key") && !requests[1].contains("api-key"), "{requests:?}");
}

#[test]
fn a_redirect_to_a_refused_address_is_not_followed() {
    for target in ["http://169.254.169.254/latest?hush", "http://0xa9fea9fe/", "//[::ffff:169.254.169.254]/", "http://metadata/"]
    {
        let server = Server::start(vec![Answer::redirect(target)]);
        let error = Client::patient().refused(&server.url("/a"));
        assert!(matches!(error, FetchError::NotAllowed { .. }), "{target}: {error}");
        assert_eq!(error.kind(), Kind::Forbidden);
    }
    let policy = Policy::only(["127.0.0.1"]).unwrap();
    let server = Server::start(vec![Answer::redirect("http://127.0.0.2:1/b")]);
    let error = Client::new(policy, PATIENT, names(&[])).refused(&server.url("/a"));
    assert_eq!(
        error.to_string(),
        "fetching http://127.0.0.2:1/b is not allowed: neither `127.0.0.2` nor its address 127.0.0.2 is in \
         `service.snapshot_url_allow`"
    );
}

#[test]
fn a_name_is_judged_by_all_its_addresses_and_connected_to_the_judged_ones() {
    let server = Server::start(vec![Answer::ok(b"abc")]);
    let url = format!("http://a.example.org:{}/a", server.port);
    let mixed = names(&[&["127.0.0.1", "169.254.169.254"]]);
    let error = Client::new(Policy::default(), PATIENT, mixed).refused(&url);
    assert!(error.to_string().contains("`a.example.org` (169.254.169.254)"), "{error}");
    assert!(server.requests().is_empty());

    // The name exists nowhere but in this resolver, which is asked once: a second answer, were it asked for, would be refused.
    let rebinding = names(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let client = Client::new(Policy::default(), PATIENT, rebinding);
    assert_eq!(client.read(&url).unwrap(), b"abc");
    assert!(matches!(client.refused(&url), FetchError::NotAllowed { .. }));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_name_that_changes_between_redirects_is_judged_again() {
    let server = Server::start(vec![Answer::redirect("/b"), Answer::ok(b"abc")]);
    let rebinding = names(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let error = Client::new(Policy::default(), PATIENT, rebinding).refused(&format!("http://a.example.org:{}/a", server.port));
    assert!(matches!(error, FetchError::NotAllowed { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_name_that_cannot_be_allowed_is_not_looked_up() {
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    let resolver = Resolver::new(move |_| {
        *counter.lock().unwrap() += 1;
        Box::pin(std::future::ready(Ok(vec![IpAddr::from([127, 0, 0, 1])])))
    });
    let client = Client::new(Policy::only(["a.example.org"]).unwrap(), PATIENT, resolver);
    assert!(matches!(client.refused("http://b.example.org:1/"), FetchError::NotAllowed { .. }));
    assert_eq!(*asked.lock().unwrap(), 0);
}

#[test]
fn the_systems_names_work() {
    let server = Server::start(vec![Answer::ok(b"abc")]);
    let client = Client::new(Policy::default(), PATIENT, Resolver::system());
    assert_eq!(client.read(&format!("http://localhost:{}/", server.port)).unwrap(), b"abc");
}
