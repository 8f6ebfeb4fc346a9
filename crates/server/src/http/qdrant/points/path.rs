//! The schema of paths into payloads, whose parser is the storage's.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::openapi::schema::any_of;

/// Keys of ASCII characters, or in quotes; between them dots, behind them brackets.
const ASCII: &str = r#"^([0-9A-Za-z_-]+|"[^"\\]*")(\.([0-9A-Za-z_-]+|"[^"\\]*")|\[[0-9]{0,18}\])*$"#;

/// With a character that may be a letter or digit of any script, which patterns have no common way to say.
const OTHER: &str = "[^\\u0000-\\u007f]";

/// A path into a payload.
pub(super) struct PathSchema;

impl PartialSchema for PathSchema {
    fn schema() -> RefOr<Schema> {
        let like = |pattern| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let ascii = like(ASCII).description(Some(
            "A path into a payload: `a`, `a.b`, `a.b[].c`, `a[0]`, `\"key with.dot\".b`. A key without quotes has letters, digits, `_` and `-`.",
        ));
        any_of([ascii.into(), like(OTHER).description(Some("The same with letters and digits of any script.")).into()])
    }
}

impl ToSchema for PathSchema {
    fn name() -> Cow<'static, str> {
        "PayloadPath".into()
    }
}
