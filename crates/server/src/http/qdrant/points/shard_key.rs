//! `shard_key` in requests: null is accepted, because clients send it; a key is refused, because no collection has custom sharding.

use serde::de::{Deserialize, Deserializer, IgnoredAny};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::envelope::{ApiError, ApiResult};
use crate::http::openapi::schema::null;

/// Whether a request names a shard.
#[derive(Debug, Default)]
pub(super) struct ShardKey {
    given: bool,
}

impl ShardKey {
    /// Refuses a request that names a shard.
    pub(super) fn refuse(&self) -> ApiResult<()> {
        if self.given { Err(ApiError::unsupported("shard_key (custom sharding)")) } else { Ok(()) }
    }
}

impl PartialSchema for ShardKey {
    fn schema() -> RefOr<Schema> {
        null()
    }
}

impl ToSchema for ShardKey {}

impl<'de> Deserialize<'de> for ShardKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { given: Option::<IgnoredAny>::deserialize(deserializer)?.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_no_key_and_any_other_value_is_one() {
        let of = |json: &str| serde_json::from_str::<ShardKey>(json).unwrap().refuse();
        assert_eq!(of("null"), Ok(()));
        for key in ["\"a\"", "7", "[\"a\", \"b\"]", "{\"fallback\": \"a\", \"target\": \"b\"}"] {
            let error = of(key).unwrap_err();
            assert_eq!(error.status.as_u16(), 400);
            assert!(error.message.contains("shard_key"), "{}", error.message);
        }
    }
}
