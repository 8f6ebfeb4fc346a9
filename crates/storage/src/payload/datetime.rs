//! Points in time as payloads and filters spell them.
//!
//! RFC 3339, and the looser spellings that Qdrant accepts: a space for the `T`, zones without colon or minutes, no zone (then
//! it is UTC), no seconds, only a date, single digits, white space before numbers. Source of the rules: `DateTimePayloadType`
//! in Qdrant's types.rs and the formats of the chrono crate that it names, compared with the engine of qdrant-edge.
//! Computed without a library of the system, so the same text is the same instant everywhere.

use std::fmt;
use std::str::FromStr;

/// Years that are accepted: those of the chrono crate.
const YEAR_MIN: i64 = -262_143;
const YEAR_MAX: i64 = 262_142;
const DAY_SECONDS: i64 = 86_400;

/// An instant in UTC.
///
/// What is finer than a microsecond is dropped. A leap second is the second before it with a million or more microseconds, so
/// that it sorts between its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datetime {
    /// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
    seconds: i64,
    /// Microseconds since then, below two million.
    microseconds: u32,
}

/// A text that is no accepted spelling of an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z")]
pub struct InvalidDatetime {
    /// The text.
    pub text: String,
}

impl Datetime {
    /// Microseconds since 1970-01-01T00:00:00Z, rounded down: what points are ordered by.
    pub fn micros(self) -> i64 {
        // Within the years accepted this is below 2^63.
        self.seconds.saturating_mul(1_000_000).saturating_add(i64::from(self.microseconds))
    }
}

impl FromStr for Datetime {
    type Err = InvalidDatetime;

    fn from_str(text: &str) -> Result<Self, InvalidDatetime> {
        read(text).ok_or_else(|| InvalidDatetime { text: text.to_owned() })
    }
}

impl fmt::Display for Datetime {
    /// RFC 3339 in UTC, with as many digits of the fraction as are needed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.seconds.div_euclid(DAY_SECONDS));
        let second = self.seconds.rem_euclid(DAY_SECONDS);
        let leap = self.microseconds / 1_000_000;
        let fraction = self.microseconds % 1_000_000;
        match year {
            0..=9999 => write!(formatter, "{year:04}")?,
            _ => write!(formatter, "{year:+05}")?,
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60 + i64::from(leap));
        write!(formatter, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if fraction != 0 {
            let digits = format!("{fraction:06}");
            write!(formatter, ".{}", digits.trim_end_matches('0'))?;
        }
        formatter.write_str("Z")
    }
}

/// What is left to read. The methods take from the front, or take nothing and give `None`.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    /// Skips white space and says whether there was any.
    fn space(&mut self) -> bool {
        let trimmed = self.0.trim_start();
        let skipped = trimmed.len() < self.0.len();
        self.0 = trimmed;
        skipped
    }

    fn one_of(&mut self, characters: &[char]) -> Option<char> {
        let character = self.0.chars().next().filter(|character| characters.contains(character))?;
        self.0 = &self.0[character.len_utf8()..];
        Some(character)
    }

    /// One digit up to `most` of them.
    fn digits(&mut self, most: usize) -> Option<&str> {
        let end = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        (!digits.is_empty()).then_some(digits)
    }

    /// A number of one or two digits after any white space.
    fn number(&mut self) -> Option<i64> {
        self.space();
        self.digits(2)?.parse().ok()
    }

    /// At most four digits, or a sign and any number of them.
    fn year(&mut self) -> Option<i64> {
        self.space();
        let year: i64 = match self.one_of(&['+', '-']) {
            Some('-') => -self.digits(usize::MAX)?.parse::<i64>().ok()?,
            Some(_) => self.digits(usize::MAX)?.parse().ok()?,
            None => self.digits(4)?.parse().ok()?,
        };
        (YEAR_MIN..=YEAR_MAX).contains(&year).then_some(year)
    }

    /// A separator between two numbers. White space before it makes the text `loose`.
    fn separator(&mut self, separator: char, loose: &mut bool) -> Option<()> {
        *loose |= self.space();
        self.one_of(&[separator]).map(drop)
    }

    /// `.` and digits, in microseconds; no `.` is 0. Digits after the sixth are dropped.
    fn fraction(&mut self) -> Option<u32> {
        if self.one_of(&['.']).is_none() {
            return Some(0);
        }
        let digits = self.digits(usize::MAX)?;
        let kept = &digits[..digits.len().min(6)];
        let missing = u32::try_from(6 - kept.len()).ok()?;
        kept.parse::<u32>().ok().map(|number| number * 10_u32.pow(missing))
    }

    /// A zone: its offset in seconds and how it is spelled.
    fn zone(&mut self) -> Option<(i64, Zone)> {
        if self.one_of(&['Z', 'z']).is_some() {
            return Some((0, Zone::Full));
        }
        if let Some((name, rest)) = self.0.split_at_checked(3)
            && name.eq_ignore_ascii_case("utc")
        {
            self.0 = rest;
            return Some((0, Zone::Name));
        }
        let sign = if self.one_of(&['+', '-', '\u{2212}'])? == '+' { 1 } else { -1 };
        let hours = self.two_digits().filter(|hours| *hours < 24)?;
        self.0 = self.0.trim_start_matches(|character: char| character == ':' || character.is_whitespace());
        if self.0.is_empty() {
            return Some((sign * hours * 3600, Zone::Hours));
        }
        let minutes = self.two_digits().filter(|minutes| *minutes < 60)?;
        Some((sign * (hours * 3600 + minutes * 60), Zone::Full))
    }

    fn two_digits(&mut self) -> Option<i64> {
        self.digits(2).filter(|digits| digits.len() == 2)?.parse().ok()
    }
}

/// How a zone is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// `Z`, or an offset with minutes.
    Full,
    /// An offset without minutes.
    Hours,
    /// `UTC`.
    Name,
}

fn read(text: &str) -> Option<Datetime> {
    let mut scanner = Scanner(text);
    // Two grammars overlap. The relaxed one has a zone, and white space before separators or a small `t` is fine in it. The
    // other has none of these, but may go without a zone, and any white space, or nothing, can stand before the hour.
    let mut loose = false;
    let year = scanner.year()?;
    scanner.separator('-', &mut loose)?;
    let month = scanner.number()?;
    scanner.separator('-', &mut loose)?;
    let day = scanner.number()?;
    let days = days(year, month, day)?;
    if scanner.0.is_empty() {
        return (!loose).then_some(Datetime { seconds: days * DAY_SECONDS, microseconds: 0 });
    }
    let letter = scanner.one_of(&['T', 't', ' ']);
    loose |= letter == Some('t');
    let hour = scanner.number().filter(|hour| *hour < 24)?;
    scanner.separator(':', &mut loose)?;
    let minute = scanner.number().filter(|minute| *minute < 60)?;
    let at = days * DAY_SECONDS + hour * 3600 + minute * 60;
    if scanner.0.is_empty() {
        return (!loose).then_some(Datetime { seconds: at, microseconds: 0 });
    }
    scanner.separator(':', &mut loose)?;
    let second = scanner.number().filter(|second| *second <= 60)?;
    let fraction = scanner.fraction()?;
    // The 61st second of a minute is the 60th with another million microseconds.
    let (second, microseconds) = if second == 60 { (59, fraction + 1_000_000) } else { (second, fraction) };
    let local = Datetime { seconds: at + second, microseconds };
    if scanner.0.is_empty() {
        return (!loose).then_some(local);
    }
    scanner.space();
    let (offset, zone) = scanner.zone()?;
    let trailing = scanner.space();
    let relaxed = letter.is_some() && zone != Zone::Hours;
    let strict = !loose && !trailing && zone != Zone::Name;
    let whole = scanner.0.is_empty() && (relaxed || strict);
    whole.then_some(Datetime { seconds: local.seconds - offset, ..local })
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; `None` if there is no such day.
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.)
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The year, month and day that is so many days from 1970-01-01 (`civil_from_days` of the same source).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_and_their_microseconds() {
        // Source: order values of the engine of qdrant-edge with a datetime index.
        let cases = [
            ("2020-03-01T00:00:00Z", 1_583_020_800_000_000),
            ("2020-03-01t00:00:00z", 1_583_020_800_000_000),
            ("2020-03-01 00:00:00Z", 1_583_020_800_000_000),
            ("2020-03-01T00:00:00-09:00", 1_583_053_200_000_000),
            ("2020-03-01T00:00:00\u{2212}09:00", 1_583_053_200_000_000),
            ("2020-03-01 00:00:00-0900", 1_583_053_200_000_000),
            ("2020-03-01 00:00:00-09", 1_583_053_200_000_000),
            ("2020-03-01 00:00:00+0930", 1_582_986_600_000_000),
            ("2020-03-01T00:00:00 +0900", 1_582_988_400_000_000),
            ("2020-03-01T00:00:00+09 :00", 1_582_988_400_000_000),
            ("2020-03-01T00:00:00+23:59", 1_582_934_460_000_000),
            ("2020-03-01T00:00:00.123456789Z", 1_583_020_800_123_456),
            ("2020-03-01T00:00:00.1234567891234Z", 1_583_020_800_123_456),
            ("2020-03-01T00:00:00.12", 1_583_020_800_120_000),
            ("2020-03-01T00:00", 1_583_020_800_000_000),
            ("2020-03-01 00:00", 1_583_020_800_000_000),
            ("2020-03-01", 1_583_020_800_000_000),
            ("2020-3-1", 1_583_020_800_000_000),
            ("+2020-03-01", 1_583_020_800_000_000),
            ("2020-03-01T1:2:3Z", 1_583_024_523_000_000),
            (" 2020-03-01T00:00:00Z ", 1_583_020_800_000_000),
            ("2020-03-01 00:00:00 UTC", 1_583_020_800_000_000),
            ("2020-03-01T00:00:00utc", 1_583_020_800_000_000),
            ("2020- 03-01T 00: 00:00", 1_583_020_800_000_000),
            ("2020-03-01T23:59:60Z", 1_583_107_200_000_000),
            ("2020-03-01T00:00:60", 1_583_020_860_000_000),
            ("-0001-01-01T00:00:00Z", -62_198_755_200_000_000),
            ("0000-01-01", -62_167_219_200_000_000),
            ("+12020-01-01T00:00:00Z", 317_147_356_800_000_000),
            ("2000-02-29", 951_782_400_000_000),
        ];
        for (text, micros) in cases {
            assert_eq!(text.parse::<Datetime>().map(Datetime::micros), Ok(micros), "{text:?}");
        }
    }

    #[test]
    fn what_the_engine_refuses_is_refused() {
        for text in [
            "",
            "x",
            "20200301",
            "2020-03-01T00",
            "2020-03-01T00:00Z",
            "2020-03-01T00:00:00.",
            "2020-03-01T00:00:00.Z",
            "2020-03-01T24:00:00Z",
            "2020-03-01T00:60:00Z",
            "2020-03-01T00:00:61Z",
            "2020-02-30",
            "2021-02-29",
            "1900-02-29",
            "2020-13-01",
            "2020-00-01",
            "2020-01-00",
            "12020-01-01T00:00:00Z",
            "2020-03-01T00:00:00+24:00",
            "2020-03-01T00:00:00+09:60",
            "2020-03-01T00:00:00+09:00:00",
            "2020-03-01T00:00:00+9",
            "2020-03-01T00:00:00,5Z",
            "2020 -03-01",
            "2020-03-01T00:00:00+ 09:00",
            "2020-03-01_00:00:00Z",
            "2020-03-01T00:00:00Z+01:00",
            "2020-03-01\t00:00:00UTC",
            "2020-03-01\t00 :00:00Z",
            "2020-03-01 00 :00:00",
        ] {
            assert!(text.parse::<Datetime>().is_err(), "{text:?}");
        }
        assert_eq!(
            "soon".parse::<Datetime>().unwrap_err().to_string(),
            "'soon' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z"
        );
    }

    #[test]
    fn what_is_written_is_the_same_instant() {
        for text in [
            "2020-03-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "0000-02-29T01:02:03.5Z",
            "-0001-12-31T00:00:00Z",
            "+12020-01-01T00:00:00Z",
            "2016-12-31T23:59:60.25Z",
            "9999-12-31T23:59:59Z",
            "+262142-12-31T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Datetime>().unwrap().to_string(), text);
        }
        assert_eq!("2020-03-01 12:00+".parse::<Datetime>().ok(), None);
        assert_eq!("2020-03-01 12:00:00+02".parse::<Datetime>().unwrap().to_string(), "2020-03-01T10:00:00Z");
    }

    #[test]
    fn every_day_of_eight_centuries_is_counted() {
        let mut expected = days(1600, 1, 1).unwrap();
        for year in 1600..2400 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let Some(count) = days(year, month, day) else { continue };
                    assert_eq!(count, expected);
                    assert_eq!(civil(count), (year, month, day));
                    expected += 1;
                }
            }
        }
        assert_eq!(expected - days(1600, 1, 1).unwrap(), 2 * 146_097);
    }

    #[test]
    fn a_leap_second_lies_between_its_neighbours() {
        let [before, leap, after] = ["2016-12-31T23:59:59.9Z", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"]
            .map(|text| text.parse::<Datetime>().unwrap());
        assert!(before < leap && leap < after);
    }
}
