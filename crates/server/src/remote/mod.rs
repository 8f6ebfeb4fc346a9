//! Archives that lie behind an `http(s)://` URL: where they may be fetched from, and the fetch itself.
//!
//! A URL comes from a client, and this server may reach what the client cannot. So the rule: no connection is made to an address
//! that [`Policy`] has not judged, on the first request and after every redirect. What the bytes are is not looked at here.

mod address;
mod allow;
mod client;
mod error;
mod fetch;
mod policy;
mod redact;
mod resolve;
#[cfg(test)]
mod tests;

pub(crate) use client::client_builder;
pub(crate) use error::{FetchError, Stopping};
pub(crate) use fetch::{Fetcher, Timeouts};
pub(crate) use policy::Policy;
pub(crate) use redact::redacted;
