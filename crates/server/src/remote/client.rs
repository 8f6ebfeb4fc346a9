//! What all of this server's requests to other servers have in common.

use reqwest::{ClientBuilder, redirect, retry};

const USER_AGENT: &str = concat!("icecore/", env!("CARGO_PKG_VERSION"));

/// A client that does what it is told and no more: no proxy, no redirect, no second try, no decoding, no connection kept. What other
/// crates may switch on in the library is switched off by name.
pub(crate) fn client_builder() -> ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_only()
        // A connection that was kept may be closed by the other side just when a request is sent, which then must not be repeated.
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT)
}
