//! Decodes the manifest's member list row by row into its table, so that a million members never exist as a million objects.
//!
//! The limits and the rules of paths are applied to each row before it is kept. What holds between rows is the manifest's to check.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::manifest::Manifest;
use super::path;

/// A manifest that has only its members so far.
pub(super) struct Records(pub(super) Manifest);

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RecordsVisitor)
    }
}

struct RecordsVisitor;

impl<'de> Visitor<'de> for RecordsVisitor {
    type Value = Records;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of members")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Records, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Record<'a> {
            #[serde(borrow)]
            path: Cow<'a, str>,
            len: u64,
            #[serde(borrow)]
            sha256: Cow<'a, str>,
            #[serde(borrow)]
            crc32c: Cow<'a, str>,
        }
        let mut manifest = Manifest::default();
        while let Some(record) = members.next_element::<Record<'de>>()? {
            path::check(&record.path).map_err(|rule| A::Error::custom(format_args!("member path {:?}: {rule}", record.path)))?;
            let sha256 = record.sha256.parse().map_err(A::Error::custom)?;
            let crc32c = record.crc32c.parse().map_err(A::Error::custom)?;
            manifest.push(&record.path, record.len, sha256, crc32c).map_err(A::Error::custom)?;
        }
        Ok(Records(manifest))
    }
}
