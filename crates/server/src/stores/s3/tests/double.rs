//! An S3 server in this process: what the store needs of the protocol, and a hand in every request.
//!
//! It heeds no condition on a write, as some servers do not, checks no signature, and keeps everything in memory.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use icecore_archive::Sha256Digest;
use object_store::path::Path;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::form_urlencoded;

/// The only bucket.
pub(super) const BUCKET: &str = "archives";

/// A request, before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) key: String,
    /// The query, as it came.
    pub(super) query: String,
    /// Bytes of the body, or of the part that is asked for.
    pub(super) len: usize,
    /// The key of the object that is to be copied.
    pub(super) copied: Option<String>,
}

/// What the server makes of requests to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Copies {
    /// It copies.
    #[default]
    Made,
    /// It does not know the header, and takes the request for one that sends nothing.
    Unknown,
    /// It copies, and ETags are not of bytes alone, as where each object is encrypted with a key of its own.
    Disguised,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is answered.
    Answer,
    /// It is not done.
    Refuse(StatusCode),
    /// It is done, and somebody on the way says otherwise.
    LoseAnswer(StatusCode),
}

type Objects = BTreeMap<String, Bytes>;
type Hand = Box<dyn FnMut(&Seen, &mut Objects) -> Fate + Send>;
type Holder = Box<dyn Fn(&Seen) -> bool + Send>;

#[derive(Default)]
struct Contents {
    objects: Objects,
    /// By id: the key, and the parts.
    uploads: BTreeMap<String, (String, BTreeMap<u32, Bytes>)>,
    begun: usize,
    copies: Copies,
    seen: Vec<Seen>,
    hand: Option<Hand>,
    holder: Option<Holder>,
}

/// A running server. Dropping it ends it.
pub(super) struct Double {
    contents: Arc<Mutex<Contents>>,
    pub(super) runtime: Runtime,
    pub(super) url: String,
}

impl Double {
    pub(super) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let contents = Arc::new(Mutex::new(Contents::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&contents));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { contents, runtime, url }
    }

    /// Decides about every request from now on.
    pub(super) fn decide(&self, mut hand: impl FnMut(&Seen) -> Fate + Send + 'static) {
        self.decide_with(move |seen, _| hand(seen));
    }

    /// The same, by one who may change what is there before.
    pub(super) fn decide_with(&self, hand: impl FnMut(&Seen, &mut Objects) -> Fate + Send + 'static) {
        self.lock().hand = Some(Box::new(hand));
    }

    /// From now on, such requests get no answer.
    pub(super) fn hold(&self, holder: impl Fn(&Seen) -> bool + Send + 'static) {
        self.lock().holder = Some(Box::new(holder));
    }

    /// Answers every request from now on.
    pub(super) fn answer_all(&self) {
        self.lock().hand = None;
    }

    /// From now on, requests to copy are dealt with like this.
    pub(super) fn copy_as(&self, copies: Copies) {
        self.lock().copies = copies;
    }

    pub(super) fn read(&self, key: &str) -> Option<Bytes> {
        self.lock().objects.get(key).cloned()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Uploads that are neither complete nor aborted.
    pub(super) fn uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// The requests since this was asked last.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock().seen)
    }

    pub(super) fn write(&self, key: &str, bytes: &[u8]) {
        self.lock().objects.insert(key.to_owned(), Bytes::copy_from_slice(bytes));
    }

    pub(super) fn remove(&self, key: &str) {
        self.lock().objects.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }
}

async fn answer(State(contents): State<Arc<Mutex<Contents>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = Path::from_url_path(head.uri.path()).unwrap();
    let Some(key) = path.as_ref().strip_prefix(BUCKET) else { return error(StatusCode::NOT_FOUND, "NoSuchBucket") };
    let key = key.trim_start_matches('/').to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let range = head.headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
    let len = range.as_deref().map_or(body.len(), |range| bounds(range).map_or(0, |(first, last)| last + 1 - first));
    let copy = Copy::asked(&head.headers);
    let seen = Seen { method: head.method, key, query, len, copied: copy.as_ref().map(|copy| copy.key.clone()) };

    if contents.lock().unwrap().note(&seen) {
        return std::future::pending().await;
    }
    let mut contents = contents.lock().unwrap();
    match contents.fate(&seen) {
        Fate::Answer => {
            let if_match = head.headers.get(header::IF_MATCH).map(|version| version.to_str().unwrap());
            contents.answer(&seen, body, copy, range.as_deref(), if_match)
        }
        Fate::Refuse(status) => error(status, "Refused"),
        Fate::LoseAnswer(status) => {
            contents.answer(&seen, body, copy, None, None);
            error(status, "Lost")
        }
    }
}

impl Contents {
    /// Notes a request. Says whether it is left without an answer.
    fn note(&mut self, seen: &Seen) -> bool {
        self.seen.push(seen.clone());
        self.holder.as_ref().is_some_and(|holder| holder(seen))
    }

    fn fate(&mut self, seen: &Seen) -> Fate {
        self.hand.as_mut().map_or(Fate::Answer, |hand| hand(seen, &mut self.objects))
    }

    fn answer(&mut self, seen: &Seen, body: Bytes, copy: Option<Copy>, range: Option<&str>, if_match: Option<&str>) -> Response {
        let query: BTreeMap<String, String> = form_urlencoded::parse(seen.query.as_bytes()).into_owned().collect();
        let upload = query.get("uploadId");
        match (seen.method.as_str(), upload) {
            ("GET", _) if query.contains_key("uploads") => {
                let prefix = &query["prefix"];
                let uploads = self.uploads.iter().filter(|(_, (key, _))| key.starts_with(prefix));
                let show = |(id, (key, _)): (&String, &(String, _))| {
                    format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>")
                };
                xml(&uploads.map(show).collect::<String>())
            }
            ("GET", _) if seen.key.is_empty() => self.list(&query),
            ("GET" | "HEAD", _) => self.read(&seen.key, range, if_match),
            ("PUT", Some(upload)) if copy.is_some() && self.copies != Copies::Unknown => {
                let Some(part) = copy.and_then(|copy| copy.of(&self.objects)) else {
                    return error(StatusCode::NOT_FOUND, "NoSuchKey");
                };
                let number = query["partNumber"].parse().unwrap();
                let Some((_, parts)) = self.uploads.get_mut(upload) else { return error(StatusCode::NOT_FOUND, "NoSuchUpload") };
                let version = etag(&part).replace('"', "&quot;");
                parts.insert(number, part);
                xml(&format!("<CopyPartResult><ETag>{version}</ETag></CopyPartResult>"))
            }
            ("PUT", Some(upload)) => {
                let number = query["partNumber"].parse().unwrap();
                let Some((_, parts)) = self.uploads.get_mut(upload) else { return error(StatusCode::NOT_FOUND, "NoSuchUpload") };
                let version = etag(&body);
                parts.insert(number, body);
                [(header::ETAG, version)].into_response()
            }
            ("PUT", None) => {
                let version = self.etag(&seen.key, &body);
                self.objects.insert(seen.key.clone(), body);
                [(header::ETAG, version)].into_response()
            }
            ("POST", None) => {
                self.begun += 1;
                let id = format!("upload-{}", self.begun);
                self.uploads.insert(id.clone(), (seen.key.clone(), BTreeMap::new()));
                xml(&format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
            }
            ("POST", Some(upload)) => {
                let Some((_, parts)) = self.uploads.remove(upload) else { return error(StatusCode::NOT_FOUND, "NoSuchUpload") };
                let whole = Bytes::from(parts.into_values().flatten().collect::<Vec<u8>>());
                let version = self.etag(&seen.key, &whole);
                self.objects.insert(seen.key.clone(), whole);
                xml(&format!("<CompleteMultipartUploadResult><ETag>{version}</ETag></CompleteMultipartUploadResult>"))
            }
            ("DELETE", Some(upload)) => match self.uploads.remove(upload) {
                Some(_) => StatusCode::NO_CONTENT.into_response(),
                None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
            },
            ("DELETE", None) => {
                self.objects.remove(&seen.key);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        }
    }

    fn etag(&self, key: &str, bytes: &[u8]) -> String {
        match self.copies {
            Copies::Disguised => etag(&[key.as_bytes(), bytes].concat()),
            _ => etag(bytes),
        }
    }

    fn read(&self, key: &str, range: Option<&str>, if_match: Option<&str>) -> Response {
        let Some(object) = self.objects.get(key) else { return error(StatusCode::NOT_FOUND, "NoSuchKey") };
        let version = self.etag(key, object);
        if if_match.is_some_and(|expected| expected != version) {
            return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        let Some((first, last)) = range.and_then(bounds) else {
            return ([(header::ETAG, version)], Body::from(object.clone())).into_response();
        };
        let last = last.min(object.len() - 1);
        let of = format!("bytes {first}-{last}/{}", object.len());
        let part = object.slice(first..=last);
        (StatusCode::PARTIAL_CONTENT, [(header::ETAG, version), (header::CONTENT_RANGE, of)], part).into_response()
    }

    /// Two keys a page.
    fn list(&self, query: &BTreeMap<String, String>) -> Response {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let after = query.get("continuation-token").map_or("", String::as_str);
        let delimiter = query.get("delimiter");
        let is_direct = |key: &str| delimiter.is_none_or(|delimiter| !key[prefix.len()..].contains(delimiter.as_str()));
        let mut found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after && is_direct(key));
        let mut text = String::from("<ListBucketResult>");
        let mut last = String::new();
        for (key, object) in found.by_ref().take(2) {
            let shown = key.replace('&', "&amp;").replace('<', "&lt;");
            let (size, version) = (object.len(), self.etag(key, object).replace('"', "&quot;"));
            write!(
                text,
                "<Contents><Key>{shown}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>{size}</Size>\
                 <ETag>{version}</ETag></Contents>"
            )
            .unwrap();
            last.clone_from(key);
        }
        if found.next().is_some() {
            write!(text, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
        }
        xml(&(text + "</ListBucketResult>"))
    }
}

/// What is to be copied. Conditions are not heeded.
struct Copy {
    key: String,
    first: usize,
    last: usize,
}

impl Copy {
    fn asked(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        let source = Path::from_url_path(text("x-amz-copy-source")?).unwrap();
        let key = source.as_ref().strip_prefix(BUCKET).unwrap().trim_start_matches('/').to_owned();
        let (first, last) = bounds(text("x-amz-copy-source-range")?)?;
        Some(Self { key, first, last })
    }

    fn of(self, objects: &Objects) -> Option<Bytes> {
        let object = objects.get(&self.key)?;
        (self.last < object.len()).then(|| object.slice(self.first..=self.last))
    }
}

fn bounds(range: &str) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &Sha256Digest::of(bytes).to_string()[..32])
}

fn xml(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], text.to_owned()).into_response()
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code><Key>hush</Key></Error>")).into_response()
}
