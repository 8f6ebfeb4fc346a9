//! The HTTP front doors: parse a request, call the storage or a use case on a blocking thread, render the answer.
//!
//! Nothing here opens files or decides anything about data; a download streams what the store has opened. Every answer, errors
//! included, has the form that [`envelope`] gives it.

mod auth;
mod connections;
mod download;
mod envelope;
mod extract;
mod http_one;
mod incoming;
mod limits;
mod manager;
mod observe;
mod openapi;
mod paths;
mod qdrant;
mod router;
#[cfg(test)]
mod tests;

pub(crate) use connections::serve;
/// A collection as Qdrant describes it, which is how every cluster is asked.
pub(crate) use qdrant::collection_info::render as describe_collection;
pub(crate) use router::{manager_router, router};
