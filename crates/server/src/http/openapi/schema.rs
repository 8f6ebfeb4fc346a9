//! Pieces of schemas, for those that are written by hand.

use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema};

/// An object, of which more properties than are named may be there.
pub(in crate::http) fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

/// An object of such values by any name.
pub(in crate::http) fn by_name(values: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    object().additional_properties(Some(values.into())).into()
}

/// A list.
pub(in crate::http) fn list(items: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(items.into())
}

/// Any string.
pub(in crate::http) fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// One of these strings.
pub(in crate::http) fn one_of_words(words: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).into()
}

/// Just this string.
pub(in crate::http) fn one_word(word: &str) -> RefOr<Schema> {
    one_of_words(&[word])
}

/// `true` or `false`.
pub(in crate::http) fn boolean() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).into()
}

/// Any number.
pub(in crate::http) fn number() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Number).into()
}

/// A number of a 32-bit float, which may be written with more digits.
pub(in crate::http) fn float() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Number).format(Some(SchemaFormat::KnownFormat(KnownFormat::Float))).into()
}

/// Seconds, with a fraction.
pub(in crate::http) fn seconds() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).description(Some("Seconds.")).into()
}

/// An integer from `least` to the largest of 64 bits without a sign.
pub(in crate::http) fn integer_from(least: usize) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(usize::MAX)).into()
}

/// An unsigned integer of 64 bits.
pub(in crate::http) fn count() -> RefOr<Schema> {
    integer_from(0)
}

/// A signed integer of 64 bits.
pub(in crate::http) fn signed() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(isize::MIN)).maximum(Some(isize::MAX)).into()
}

/// An unsigned integer of 32 bits.
pub(in crate::http) fn small_count() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u32::MAX)).into()
}

/// Only null.
pub(in crate::http) fn null() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Null).into()
}

/// Any of these.
pub(in crate::http) fn any_of<const N: usize>(schemas: [RefOr<Schema>; N]) -> RefOr<Schema> {
    schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into()
}

/// An object with just one of these properties, which says what it is.
pub(in crate::http) fn tagged<const N: usize>(variants: [(&str, RefOr<Schema>); N]) -> RefOr<Schema> {
    any_of(variants.map(|(name, schema)| {
        let nothing_else = AdditionalProperties::<Schema>::FreeForm(false);
        object().property(name, schema).required(name).additional_properties(Some(nothing_else)).into()
    }))
}

/// This, or null.
pub(in crate::http) fn or_null(schema: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    any_of([schema.into(), null()])
}

/// A reference to the schema of a type, by its name in the document.
pub(in crate::http) fn named<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// Schemas by their names, as `ToSchema` collects them.
pub(in crate::http) type Schemas = Vec<(String, RefOr<Schema>)>;

/// Adds the schema of a type, and those that it refers to.
pub(in crate::http) fn add<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
