//! JSON in one spelling: how the manifest writes values, bounds them, and compares bytes with what it would write.

use std::io::{self, Write};

use serde_json::Value;

/// Whether no array or object is inside more than `levels - 1` others.
pub(super) fn within_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| within_depth(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|item| within_depth(item, levels - 1)),
        _ => true,
    }
}

/// Writes JSON with sorted keys, whatever order the map type of this build keeps.
pub(super) fn write_sorted(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Array(items) => {
            out.write_all(b"[")?;
            for (index, item) in items.iter().enumerate() {
                out.write_all(if index == 0 { b"" } else { b"," })?;
                write_sorted(out, item)?;
            }
            out.write_all(b"]")
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.write_all(b"{")?;
            for (index, (name, item)) in fields.into_iter().enumerate() {
                out.write_all(if index == 0 { b"" } else { b"," })?;
                serde_json::to_writer(&mut *out, name)?;
                out.write_all(b":")?;
                write_sorted(out, item)?;
            }
            out.write_all(b"}")
        }
        scalar => Ok(serde_json::to_writer(out, scalar)?),
    }
}

/// A `Write` that fails at the first byte that differs from what it was given.
pub(super) struct Compare<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Compare<'a> {
    pub(super) fn new(expected: &'a [u8]) -> Self {
        Self { rest: expected, offset: 0 }
    }

    /// Whether everything expected was written.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes were equal.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

impl Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                self.offset += bytes.len() as u64;
                Ok(bytes.len())
            }
            None => {
                let equal = self.rest.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                self.offset += equal as u64;
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let mut bytes = Vec::new();
        write_sorted(&mut bytes, &json!({"b": [{"d": 1, "c": {}}, []], "a\"": null, "a": -0.0})).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"a":-0.0,"a\"":null,"b":[{"c":{},"d":1},[]]}"#);
    }

    #[test]
    fn depth_counts_arrays_and_objects() {
        assert!(within_depth(&json!(1), 0));
        assert!(!within_depth(&json!([]), 0));
        assert!(within_depth(&json!([{"a": 1}]), 2));
        assert!(!within_depth(&json!([{"a": [1]}]), 2));
    }

    #[test]
    fn comparing_stops_at_the_first_difference() {
        let mut compare = Compare::new(b"abcdef");
        compare.write_all(b"abc").unwrap();
        assert!(compare.write_all(b"dxf").is_err());
        assert_eq!((compare.offset(), compare.is_at_end()), (4, false));
        let mut compare = Compare::new(b"ab");
        compare.write_all(b"ab").unwrap();
        assert!(compare.is_at_end() && compare.write_all(b"c").is_err());
    }
}
