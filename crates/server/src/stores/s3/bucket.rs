//! The requests that the store makes, as blocking calls whose errors name the object.
//!
//! Each is bounded in time by the client's limits (`options`). To be called on blocking threads: they panic on an async thread of
//! the runtime.

use std::fmt;
use std::ops::Range;

use axum::body::Bytes;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;

use super::error::{Fault, S3Error};

/// Pages of one listing, of up to 1000 keys each.
const PAGES_MAX: usize = 10_000;

/// A bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) client: AmazonS3,
    pub(super) runtime: Handle,
    name: String,
}

impl fmt::Debug for Bucket {
    /// Without the client, which has the credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Bucket").field(&self.name).finish()
    }
}

impl Bucket {
    /// The bucket of a client, whose requests `runtime` drives.
    pub(super) fn new(client: AmazonS3, name: String, runtime: Handle) -> Self {
        Self { client, runtime, name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What an object is called in errors.
    pub(super) fn url(&self, key: &Path) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// The error of a request about an object.
    pub(super) fn error(&self, operation: &'static str, key: &Path) -> impl FnOnce(object_store::Error) -> S3Error {
        let object = self.url(key);
        move |error| S3Error::new(operation, object, &error)
    }

    /// What the server knows of an object; `None` if there is none.
    pub(super) fn head(&self, key: &Path) -> Result<Option<ObjectMeta>, S3Error> {
        found(self.runtime.block_on(self.client.head(key)).map_err(self.error("look at", key)))
    }

    /// A small object; `None` if there is none, an error if it is longer than `len_max`.
    pub(super) fn get(&self, key: &Path, len_max: u64) -> Result<Option<Bytes>, S3Error> {
        let read = async {
            let got = self.client.get(key).await.map_err(self.error("read", key))?;
            if got.meta.size > len_max {
                let reason = format!("it has {} bytes, more than the {len_max} that it may have", got.meta.size);
                return Err(S3Error { operation: "read", object: self.url(key), reason, fault: Fault::Other });
            }
            got.bytes().await.map_err(self.error("read", key))
        };
        found(self.runtime.block_on(read))
    }

    /// A part of an object of which `version` is the ETag. Fails with [`Fault::Changed`] if it is another object by now.
    pub(super) async fn get_range(&self, key: &Path, range: Range<u64>, version: Option<&str>) -> Result<Bytes, S3Error> {
        let expected = range.end - range.start;
        let options =
            GetOptions { range: Some(GetRange::Bounded(range)), if_match: version.map(str::to_owned), ..GetOptions::default() };
        let got = self.client.get_opts(key, options).await.map_err(self.error("read", key))?;
        let failed = |fault, reason| S3Error { operation: "read", object: self.url(key), reason, fault };
        // Not every server heeds the condition.
        if version.is_some_and(|version| got.meta.e_tag.as_deref().is_some_and(|actual| actual != version)) {
            return Err(failed(Fault::Changed, "the object was replaced while it was read".to_owned()));
        }
        let bytes = got.bytes().await.map_err(self.error("read", key))?;
        match bytes.len() as u64 == expected {
            true => Ok(bytes),
            false => Err(failed(Fault::Other, format!("{} bytes came, {expected} were asked for", bytes.len()))),
        }
    }

    /// Writes an object with one request.
    pub(super) fn put(&self, key: &Path, bytes: impl Into<PutPayload>) -> Result<(), S3Error> {
        self.runtime.block_on(self.client.put(key, bytes.into())).map(drop).map_err(self.error("write", key))
    }

    /// Deletes an object; one that is not there is deleted.
    pub(super) fn delete(&self, key: &Path) -> Result<(), S3Error> {
        let deleted = self.runtime.block_on(self.client.delete(key)).map_err(self.error("delete", key));
        found(deleted).map(drop)
    }

    /// The objects whose keys begin with `prefix`, in no order; without those that have a further `delimiter`.
    pub(super) fn list(&self, prefix: &str, delimiter: Option<&'static str>) -> Result<Vec<ObjectMeta>, S3Error> {
        let object = format!("s3://{}/{prefix}", self.name);
        let mut objects = Vec::new();
        let mut page_token = None;
        for _ in 0..PAGES_MAX {
            let options = PaginatedListOptions { delimiter: delimiter.map(Into::into), page_token, ..Default::default() };
            let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
            let page = self.runtime.block_on(self.client.list_paginated(prefix, options));
            let page = page.map_err(|error| S3Error::new("list", object.clone(), &error))?;
            objects.extend(page.result.objects);
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(objects);
            }
        }
        let reason = format!("there are more than {PAGES_MAX} pages");
        Err(S3Error { operation: "list", object, reason, fault: Fault::Other })
    }

    /// Asks for one key, to see that the bucket is there and may be listed.
    pub(super) fn probe(&self, prefix: &str) -> Result<(), S3Error> {
        let options = PaginatedListOptions { max_keys: Some(1), ..Default::default() };
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        match self.runtime.block_on(self.client.list_paginated(prefix, options)) {
            Ok(_) => Ok(()),
            Err(error) => Err(S3Error::new("list", format!("s3://{}", self.name), &error)),
        }
    }
}

/// An object that is not there is none.
fn found<T>(result: Result<T, S3Error>) -> Result<Option<T>, S3Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.fault == Fault::NoObject => Ok(None),
        Err(error) => Err(error),
    }
}
