//! Which bytes a `Range` header asks for (RFC 9110, section 14). Pure.
//!
//! One range of bytes is honoured. Everything else that the header may say, several ranges, another unit or nonsense, is
//! ignored, which the specification allows and which is what a client that asked for a part has to expect anyway.

use std::ops::Range;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// Everything: the header is to be ignored.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// One range, none of whose bytes exist.
    Unsatisfiable,
}

/// What the value of a `Range` header selects of `len` bytes.
pub(super) fn select(value: &[u8], len: u64) -> Selection {
    parse(value).map_or(Selection::Whole, |asked| asked.within(len))
}

/// A range as it was asked for; numbers that are too large for 64 bits are as good as the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// From the first to the last position, both included.
    Between { first: u64, last: u64 },
    /// So many bytes at the end.
    Suffix(u64),
}

impl Asked {
    fn within(self, len: u64) -> Selection {
        match self {
            Self::Between { first, .. } if first >= len => Selection::Unsatisfiable,
            Self::Between { first, last } => Selection::Part(first..last.saturating_add(1).min(len)),
            Self::Suffix(0) => Selection::Unsatisfiable,
            // The last bytes of nothing are nothing, which no `Content-Range` can say.
            Self::Suffix(_) if len == 0 => Selection::Whole,
            Self::Suffix(count) => Selection::Part(len.saturating_sub(count)..len),
        }
    }
}

/// `None` if it is anything but one range of bytes.
fn parse(value: &[u8]) -> Option<Asked> {
    let (unit, range) = str::from_utf8(value).ok()?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
    match (first, last) {
        ("", count) => Some(Asked::Suffix(number(count)?)),
        (first, "") => Some(Asked::Between { first: number(first)?, last: u64::MAX }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Asked::Between { first, last })
        }
    }
}

/// A number of decimal digits alone: no sign, no space.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits can only be refused for being too many.
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Selection::{Part, Unsatisfiable, Whole};
    use super::*;

    #[test]
    fn one_range_is_cut_to_what_exists() {
        let cases: &[(&str, u64, Selection)] = &[
            ("bytes=0-", 10, Part(0..10)),
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=2-5", 10, Part(2..6)),
            ("bytes=9-9", 10, Part(9..10)),
            ("bytes=9-", 10, Part(9..10)),
            ("bytes=3-10", 10, Part(3..10)),
            ("bytes=3-99999999999999999999999", 10, Part(3..10)),
            ("bytes=0-18446744073709551615", 10, Part(0..10)),
            ("bytes=-1", 10, Part(9..10)),
            ("bytes=-10", 10, Part(0..10)),
            ("bytes=-11", 10, Part(0..10)),
            ("bytes=-99999999999999999999999", 10, Part(0..10)),
            ("bytes=18446744073709551614-", u64::MAX, Part(u64::MAX - 1..u64::MAX)),
            ("Bytes=1-2", 10, Part(1..3)),
            ("bytes= 1-2\t", 10, Part(1..3)),
            ("bytes=0001-02", 10, Part(1..3)),
        ];
        check(cases);
    }

    #[test]
    fn a_range_of_no_bytes_is_unsatisfiable() {
        let cases: &[(&str, u64, Selection)] = &[
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            ("bytes=18446744073709551615-", u64::MAX, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-0", 0, Unsatisfiable),
        ];
        check(cases);
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
        let ignored = [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=1--2",
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "lines=0-1",
            "=0-1",
            "0-1",
            "bytes=0x1-",
            "bytes=1-2-3",
            "bytes=\u{661}-",
        ];
        for value in ignored {
            check(&[(value, 10, Whole)]);
        }
        assert_eq!(select(b"bytes=\xff-", 10), Whole);
        check(&[("bytes=-5", 0, Whole)]);
    }

    fn check(cases: &[(&str, u64, Selection)]) {
        for (value, len, expected) in cases {
            assert_eq!(&select(value.as_bytes(), *len), expected, "{value} of {len}");
        }
    }
}
