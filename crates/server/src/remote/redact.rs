//! A URL as it may be shown: in errors, answers and logs. Not a URL to connect to.

use url::Url;

/// The URL without what may be secret: user, password, and the query, where presigned URLs carry their signature.
pub(crate) fn redacted(url: &Url) -> String {
    if url.cannot_be_a_base() {
        // It has no parts that could be told apart: `admin:secret@host` is one, of the scheme `admin`.
        return format!("{}:…", url.scheme());
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left() {
        for (url, shown) in [
            ("http://h/a.snapshot", "http://h/a.snapshot"),
            ("https://user:secret@h:8443/a%20b?X-Amz-Signature=secret&b=secret#secret", "https://h:8443/a%20b?…"),
            ("http://secret@[::1]:80/", "http://[::1]/"),
            ("http://h/a?", "http://h/a?…"),
            ("file:///a/b", "file:///a/b"),
            ("ftp://user:secret@h/a", "ftp://h/a"),
            ("admin:secret@h", "admin:…"),
            ("data:text/plain,secret", "data:…"),
        ] {
            assert_eq!(redacted(&Url::parse(url).unwrap()), shown);
        }
    }
}
