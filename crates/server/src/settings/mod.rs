//! The configuration that icecore keeps for its clients without using it: indexes, optimizers, quantization and the like.
//!
//! It comes in two ways, in the body of a request and inside an archive that somebody else may have made, and both are held to the same
//! rules: what is kept can always be described to a client again, archived, and read back. What the values mean is nobody's concern here.

mod archived;
pub(crate) mod bounds;
pub(crate) mod fields;
pub(crate) mod index;

pub(crate) use archived::check as check_archived;

/// The field that holds what was given for each vector.
pub(crate) const VECTORS: &str = "vectors";

/// The field that holds what was given for each sparse vector.
pub(crate) const SPARSE_VECTORS: &str = "sparse_vectors";

/// Why a value cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// It is of another type than the field.
    #[error("{field}: {reason}")]
    Type {
        /// The field, with those that it is in.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// It is of the right type, and too large, too small or too deep.
    #[error("{field}: {rule}")]
    Bound {
        /// The field, with those that it is in.
        field: String,
        /// The rule that it breaks.
        rule: String,
    },
}

impl SettingsError {
    fn of_type(field: &str, reason: impl Into<String>) -> Self {
        Self::Type { field: field.to_owned(), reason: reason.into() }
    }

    fn of_bound(field: &str, rule: impl Into<String>) -> Self {
        Self::Bound { field: field.to_owned(), rule: rule.into() }
    }
}
