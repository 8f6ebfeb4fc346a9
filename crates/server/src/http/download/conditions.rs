//! Whether a request's conditions hold for an archive (RFC 9110, section 13). Pure.
//!
//! Of each pair the tag decides, and the date only where no tag is given. Dates are compared in whole seconds, which is all that
//! a header can say. A date that cannot be read, and one for an archive of an unknown date, is ignored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, header};

/// The first second of the year 10000, which no date in a header can express.
const DATES_END: Duration = Duration::from_secs(253_402_300_800);

/// What tells one state of a resource from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// The strong entity tag, without its quotes.
    pub(super) tag: String,
    /// When the bytes became what they are, in whole seconds.
    pub(super) modified: Option<SystemTime>,
}

/// What the conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They hold, or there are none.
    Proceed,
    /// The client has this already.
    NotModified,
    /// The client wants something else than there is.
    Failed,
}

impl Validators {
    /// The validators of what was made at `created`; a time in the future of `now`, or that no header can carry, is as good as none.
    pub(super) fn new(tag: String, created: SystemTime, now: SystemTime) -> Self {
        let age = created.duration_since(UNIX_EPOCH).ok().filter(|age| *age < DATES_END && created <= now);
        Self { tag, modified: age.map(|age| UNIX_EPOCH + Duration::from_secs(age.as_secs())) }
    }
}

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since`, in that order, for a GET or HEAD.
pub(super) fn check(headers: &HeaderMap, found: &Validators) -> Outcome {
    let wanted = if headers.contains_key(header::IF_MATCH) {
        any_tag(headers, header::IF_MATCH, |tag| !tag.weak && tag.is(found))
    } else {
        date(headers, header::IF_UNMODIFIED_SINCE).zip(found.modified).is_none_or(|(since, modified)| modified <= since)
    };
    if !wanted {
        return Outcome::Failed;
    }
    let known = if headers.contains_key(header::IF_NONE_MATCH) {
        any_tag(headers, header::IF_NONE_MATCH, |tag| tag.is(found))
    } else {
        date(headers, header::IF_MODIFIED_SINCE).zip(found.modified).is_some_and(|(since, modified)| modified <= since)
    };
    if known { Outcome::NotModified } else { Outcome::Proceed }
}

/// Whether a `Range` counts: there is no `If-Range`, or it names what is there. A weak tag names nothing. A date names the archive
/// whose date it is; clients that want to be sure use the tag, because an archive could be deleted and made again in one second.
pub(super) fn range_counts(headers: &HeaderMap, found: &Validators) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        // Of several, none can be the one.
        return !headers.contains_key(header::IF_RANGE);
    };
    let mut tags = Tags(value.as_bytes());
    match tags.next() {
        Some(tag) => !tag.weak && tag.is(found) && tags.0.trim_ascii().is_empty(),
        None => date(headers, header::IF_RANGE).is_some_and(|date| found.modified == Some(date)),
    }
}

/// Whether a header is `*` or one of its tags is as asked.
fn any_tag(headers: &HeaderMap, name: HeaderName, is_it: impl Fn(Tag<'_>) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| value.as_bytes().trim_ascii() == b"*" || Tags(value.as_bytes()).any(&is_it))
}

/// The date of a header that is there once and can be read.
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

#[derive(Debug, Clone, Copy)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl Tag<'_> {
    fn is(self, found: &Validators) -> bool {
        self.opaque == found.tag.as_bytes()
    }
}

/// The tags of a list, up to the first thing that is none.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.0.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let (_, text) = self.0.split_at(start);
        let (weak, text) = text.strip_prefix(b"W/").map_or((false, text), |rest| (true, rest));
        let text = text.strip_prefix(b"\"")?;
        let (opaque, rest) = text.split_at(text.iter().position(|byte| *byte == b'"')?);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(Tag { weak, opaque })
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Failed, NotModified, Proceed};
    use super::*;

    /// 2024-07-22T08:31:55Z, a Monday.
    const MADE: &str = "Mon, 22 Jul 2024 08:31:55 GMT";
    const BEFORE: &str = "Mon, 22 Jul 2024 08:31:54 GMT";
    const AFTER: &str = "Mon, 22 Jul 2024 08:31:56 GMT";

    fn found() -> Validators {
        let made = UNIX_EPOCH + Duration::from_millis(1_721_637_115_900);
        Validators::new("abc".to_owned(), made, made)
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn conditions_have_the_outcomes_of_the_specification() {
        let cases: &[(&[(&str, &str)], Outcome)] = &[
            (&[], Proceed),
            (&[("if-none-match", "\"abc\"")], NotModified),
            (&[("if-none-match", "W/\"abc\"")], NotModified),
            (&[("if-none-match", "\"x\" , W/\"y,\",\"abc\"")], NotModified),
            (&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")], NotModified),
            (&[("if-none-match", " * ")], NotModified),
            (&[("if-none-match", "\"x\"")], Proceed),
            (&[("if-none-match", "abc")], Proceed),
            (&[("if-none-match", "\"abc")], Proceed),
            (&[("if-none-match", "")], Proceed),
            (&[("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "\"x\",\"abc\"")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "W/\"abc\"")], Failed),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-match", "abc")], Failed),
            (&[("if-modified-since", MADE)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-modified-since", MADE), ("if-modified-since", MADE)], Proceed),
            (&[("if-modified-since", "Monday, 22-Jul-24 08:31:55 GMT")], NotModified),
            (&[("if-modified-since", "Mon Jul 22 08:31:55 2024")], NotModified),
            (&[("if-unmodified-since", MADE)], Proceed),
            (&[("if-unmodified-since", AFTER)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", "yesterday")], Proceed),
        ];
        for (lines, expected) in cases {
            assert_eq!(check(&headers(lines), &found()), *expected, "{lines:?}");
        }
    }

    #[test]
    fn tags_come_before_dates_and_wishes_before_knowledge() {
        let cases: &[(&[(&str, &str)], Outcome)] = &[
            (&[("if-match", "\"abc\""), ("if-unmodified-since", BEFORE)], Proceed),
            (&[("if-match", "\"x\""), ("if-unmodified-since", AFTER)], Failed),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Proceed),
            (&[("if-none-match", "\"abc\""), ("if-modified-since", BEFORE)], NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", "\"abc\"")], Failed),
            (&[("if-match", "\"abc\""), ("if-none-match", "\"abc\"")], NotModified),
            (&[("if-unmodified-since", BEFORE), ("if-modified-since", AFTER)], Failed),
        ];
        for (lines, expected) in cases {
            assert_eq!(check(&headers(lines), &found()), *expected, "{lines:?}");
        }
    }

    #[test]
    fn a_range_counts_only_for_what_the_client_has_a_part_of() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("if-range", "\"abc\"")], true),
            (&[("if-range", " \"abc\" ")], true),
            (&[("if-range", "W/\"abc\"")], false),
            (&[("if-range", "\"x\"")], false),
            (&[("if-range", "\"abc\", \"x\"")], false),
            (&[("if-range", "*")], false),
            (&[("if-range", MADE)], true),
            (&[("if-range", BEFORE)], false),
            (&[("if-range", AFTER)], false),
            (&[("if-range", "yesterday")], false),
            (&[("if-range", "\"abc\""), ("if-range", "\"abc\"")], false),
        ];
        for (lines, expected) in cases {
            assert_eq!(range_counts(&headers(lines), &found()), *expected, "{lines:?}");
        }
    }

    #[test]
    fn an_archive_of_an_impossible_date_has_none() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let far = UNIX_EPOCH + DATES_END;
        for (created, now) in [(UNIX_EPOCH - Duration::from_secs(1), now), (far, far), (now + Duration::from_secs(1), now)] {
            let found = Validators::new("abc".to_owned(), created, now);
            assert_eq!(found.modified, None);
            assert_eq!(check(&headers(&[("if-modified-since", AFTER)]), &found), Proceed);
            assert_eq!(check(&headers(&[("if-unmodified-since", BEFORE)]), &found), Proceed);
            assert!(!range_counts(&headers(&[("if-range", MADE)]), &found));
        }
    }
}
