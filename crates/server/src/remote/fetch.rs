//! Fetches one archive: follows redirects by hand, judges every address, and hands out the body as a blocking reader.
//!
//! The rules: each request is judged anew and connected to the judged addresses only; credentials go to the first URL's origin and
//! no other; the body is the file's bytes or an error. A body that ends before its announced length is an `UnexpectedEof` of the
//! reader; one without a length ends where the remote closes, so what reads it must know an archive's end. Silence is limited,
//! the whole download is not. The end of this server stops it, once what runs is told to stop, and so does a cancellation.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING};
use reqwest::{Client, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::time::timeout;
use url::{Host, Url};

use super::client::client_builder;
use super::error::{FetchError, Stopping, cause, io_kind};
use super::policy::{Policy, Refusal};
use super::redact::redacted;
use super::resolve::{Pinned, Resolver};
use crate::cancellation::Cancellation;
use crate::pipe::{PipeReader, PipeWriter, pipe};
use crate::shutdown::Shutdown;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// Chunks between the connection and the reader; one is what the connection had to read at once, some 100 KiB at most.
const CHUNKS: usize = 16;
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// How long the remote may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For the lookup of its name, and again for the connection with its encryption.
    pub(crate) connect: Duration,
    /// For the response to begin, and then between two parts of the body.
    pub(crate) idle: Duration,
}

/// What stops a download before its end.
#[derive(Debug)]
struct Stops {
    shutdown: Shutdown,
    cancellation: Cancellation,
}

impl Stops {
    async fn stopped(&self) -> Stopping {
        tokio::select! {
            () = self.shutdown.forced() => Stopping::Server,
            () = self.cancellation.cancelled() => Stopping::Download,
        }
    }
}

/// Fetches archives.
#[derive(Debug)]
pub(crate) struct Fetcher {
    policy: Policy,
    timeouts: Timeouts,
    resolver: Resolver,
    runtime: Handle,
    shutdown: Shutdown,
}

/// An archive that has begun to arrive.
#[derive(Debug)]
pub(crate) struct Remote {
    /// Its length in bytes, if the remote says so. The reader has exactly that many, or fails.
    pub(crate) len: Option<u64>,
    /// Its bytes, to be read on a blocking thread. Dropping it ends the connection.
    pub(crate) body: PipeReader,
}

impl Timeouts {
    /// With this limit of silence, and 10 seconds to connect.
    pub(crate) fn with_idle(idle: Duration) -> Self {
        Self { connect: Duration::from_secs(10), idle }
    }
}

impl Fetcher {
    /// A fetcher whose connections are driven by `runtime`, which must have its I/O and time drivers enabled.
    pub(crate) fn new(policy: Policy, timeouts: Timeouts, runtime: Handle, shutdown: Shutdown) -> Self {
        Self::with_resolver(policy, timeouts, runtime, shutdown, Resolver::system())
    }

    /// Like [`new`](Self::new), with names looked up by `resolver`.
    pub(super) fn with_resolver(
        policy: Policy,
        timeouts: Timeouts,
        runtime: Handle,
        shutdown: Shutdown,
        resolver: Resolver,
    ) -> Self {
        Self { policy, timeouts, resolver, runtime, shutdown }
    }

    /// Asks for an archive and waits until its first bytes may be read. `api_key` goes to the URL's origin only, as do a user and
    /// password in the URL. To be called on a blocking thread: it panics on an async thread of a runtime.
    pub(crate) fn open(&self, url: &Url, api_key: Option<&str>, cancellation: &Cancellation) -> Result<Remote, FetchError> {
        let (response, url) = self.runtime.block_on(async {
            tokio::select! {
                followed = self.follow(url, api_key) => followed,
                () = self.shutdown.forced() => Err(FetchError::Stopped { url: redacted(url) }),
                () = cancellation.cancelled() => Err(FetchError::Cancelled { url: redacted(url) }),
            }
        })?;
        let len = response.content_length();
        let (writer, body) = pipe(CHUNKS);
        let stops = Stops { shutdown: self.shutdown.clone(), cancellation: cancellation.clone() };
        self.runtime.spawn(pump(response, redacted(&url), len, self.timeouts.idle, stops, writer));
        Ok(Remote { len, body })
    }

    /// The response that is not a redirect, and its URL.
    async fn follow(&self, first: &Url, api_key: Option<&str>) -> Result<(Response, Url), FetchError> {
        let api_key = api_key.map(secret_header).transpose()?;
        let mut url = first.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.request(first, &url, api_key.clone()).await?;
            match response.headers().get(LOCATION) {
                Some(location) if redirects(response.status()) => url = next_hop(&url, location)?,
                _ => {
                    accept(&url, &response)?;
                    return Ok((response, url));
                }
            }
        }
        Err(FetchError::TooManyRedirects { url: redacted(first), max: REDIRECTS_MAX })
    }

    /// Sends one request, to an origin that is judged here.
    async fn request(&self, first: &Url, url: &Url, api_key: Option<HeaderValue>) -> Result<Response, FetchError> {
        let http = |cause| FetchError::Http { url: redacted(url), cause };
        let addresses = self.addresses(url).await?;
        let client = self.client(url, addresses).map_err(|error| http(cause(error)))?;
        let request = if url.origin() == first.origin() {
            let request = client.get(with_user_of(first, url));
            api_key.into_iter().fold(request, |request, key| request.header(API_KEY, key))
        } else {
            client.get(url.clone())
        };
        match timeout(self.timeouts.idle, request.header(ACCEPT_ENCODING, "identity").send()).await {
            Ok(sent) => sent.map_err(|error| http(cause(error))),
            Err(_) => Err(http(format!("no response within {:?}", self.timeouts.idle))),
        }
    }

    /// The addresses of a URL's host, all of which may be connected to.
    async fn addresses(&self, url: &Url) -> Result<Vec<IpAddr>, FetchError> {
        let http = |cause| FetchError::Http { url: redacted(url), cause };
        let refused = |refusal: Refusal| FetchError::NotAllowed { url: redacted(url), refusal };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme { url: redacted(url), scheme: url.scheme().to_owned() });
        }
        let host = url.host_str().unwrap_or_default();
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(name)) => {
                self.policy.name(name).map_err(refused)?;
                match timeout(self.timeouts.connect, self.resolver.lookup(name)).await {
                    Ok(Ok(found)) => found,
                    Ok(Err(error)) => return Err(http(format!("look up `{name}`: {error}"))),
                    Err(_) => return Err(http(format!("look up `{name}`: no answer within {:?}", self.timeouts.connect))),
                }
            }
            None => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(http(format!("`{host}` has no address")));
        }
        // All or nothing: a name with an address that must not be reached is not to be trusted with the others.
        addresses.iter().try_for_each(|address| self.policy.address(host, *address)).map_err(refused)?;
        Ok(addresses)
    }

    /// A client for one request: it can connect to these addresses and nothing else.
    fn client(&self, url: &Url, addresses: Vec<IpAddr>) -> Result<Client, reqwest::Error> {
        let builder = client_builder().dns_resolver(Pinned(addresses)).connect_timeout(self.timeouts.connect);
        match url.scheme() {
            "https" => builder.https_only(true).build(),
            // Without certificates: a machine that has none can still fetch without encryption.
            _ => builder.tls_certs_only([]).build(),
        }
    }
}

fn secret_header(key: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_str(key).map_err(|_| FetchError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `url`, which has the origin of `first`, with the user and password of `first` unless it has its own.
fn with_user_of(first: &Url, url: &Url) -> Url {
    if !url.username().is_empty() || url.password().is_some() {
        return url.clone();
    }
    let mut with_user = first.clone();
    with_user.set_path(url.path());
    with_user.set_query(url.query());
    with_user
}

/// Statuses whose `Location` is where the file is. Source: RFC 9110 §15.4; 300 is a choice, which nobody makes here.
fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect of `url` points.
fn next_hop(url: &Url, location: &HeaderValue) -> Result<Url, FetchError> {
    let wrong = |reason: String| FetchError::Location { url: redacted(url), reason };
    let location = location.to_str().map_err(|_| wrong("not ASCII".to_owned()))?;
    let next = url.join(location).map_err(|error| wrong(error.to_string()))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(FetchError::Scheme { url: redacted(&next), scheme: next.scheme().to_owned() });
    }
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(FetchError::Downgrade { from: redacted(url), to: redacted(&next) });
    }
    Ok(next)
}

/// Whether a response's body is the whole file as it is.
fn accept(url: &Url, response: &Response) -> Result<(), FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status { url: redacted(url), status: response.status() });
    }
    plain(url, response.headers(), CONTENT_ENCODING, "Content-Encoding", &["identity"])?;
    // How the bytes are framed on the connection has been undone; compression there has not.
    plain(url, response.headers(), TRANSFER_ENCODING, "Transfer-Encoding", &["identity", "chunked"])?;
    match response.content_length() {
        Some(0) => Err(FetchError::Empty { url: redacted(url) }),
        _ => Ok(()),
    }
}

/// Refuses a header that names an encoding which is not one of these.
fn plain(url: &Url, headers: &HeaderMap, name: HeaderName, header: &'static str, accepted: &[&str]) -> Result<(), FetchError> {
    for value in headers.get_all(name) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let mut codings = text.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        if !codings.all(|coding| accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(coding))) {
            return Err(FetchError::Encoding { url: redacted(url), header, encoding: text.chars().take(100).collect() });
        }
    }
    Ok(())
}

/// Carries the body into the pipe, to its end or until nobody reads. How long the reader takes is not the remote's silence.
async fn pump(mut response: Response, url: String, len: Option<u64>, idle: Duration, stops: Stops, writer: PipeWriter) {
    let mut received = 0_u64;
    loop {
        let next = tokio::select! {
            next = timeout(idle, response.chunk()) => next,
            () = writer.closed() => return,
            why = stops.stopped() => {
                // Fails if nobody reads any more.
                let _ = writer.send(Err(io::Error::other(why))).await;
                return;
            }
        };
        let chunk = match next {
            Ok(Ok(Some(chunk))) => {
                received = received.saturating_add(chunk.len() as u64);
                Ok(chunk)
            }
            Ok(Ok(None)) if len.is_none_or(|len| len == received) => return writer.finish(),
            Ok(Ok(None)) => Err((io::ErrorKind::UnexpectedEof, "it ended early".to_owned())),
            Ok(Err(error)) => Err((io_kind(&error).unwrap_or(io::ErrorKind::Other), cause(error))),
            Err(_) => Err((io::ErrorKind::TimedOut, format!("no data within {idle:?}"))),
        };
        let chunk = chunk.map_err(|(kind, reason)| {
            let of = len.map(|len| format!(" of {len}")).unwrap_or_default();
            io::Error::new(kind, format!("download {url}: after {received}{of} bytes: {reason}"))
        });
        let failed = chunk.is_err();
        if writer.send(chunk).await.is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, location: &str) -> Result<String, FetchError> {
        let location = HeaderValue::from_bytes(location.as_bytes()).unwrap();
        next_hop(&Url::parse(from).unwrap(), &location).map(String::from)
    }

    #[test]
    fn redirects_are_relative_or_absolute() {
        for (from, location, to) in [
            ("http://h/a/b?c", "d", "http://h/a/d"),
            ("http://user:pass@h/a", "/b?c", "http://user:pass@h/b?c"),
            ("http://user:pass@h/a", "//i/b", "http://i/b"),
            ("http://h/a", "https://i:1/b", "https://i:1/b"),
            ("https://h/a", "//i/b", "https://i/b"),
        ] {
            assert_eq!(hop(from, location).unwrap(), to);
        }
    }

    #[test]
    fn redirects_that_are_not_followed() {
        assert!(matches!(hop("https://h/a", "http://h/a"), Err(FetchError::Downgrade { .. })));
        for location in ["file:///etc/passwd", "ftp://h/a", "data:,x", "gopher://h"] {
            assert!(matches!(hop("http://h/a", location), Err(FetchError::Scheme { .. })), "{location}");
        }
        for location in ["http://", "http://h:99999/", "http://[/", "/\u{e9}"] {
            assert!(matches!(hop("http://h/a", location), Err(FetchError::Location { .. })), "{location}");
        }
    }
}
