//! The schemas of filters, whose parser is the storage's.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::id::Id;
use super::path::PathSchema;
use crate::http::openapi::schema::{
    self, Schemas, any_of, boolean, count, integer_from, list, named, null, number, object, or_null, signed, text,
};

/// A filter: conditions, and how they go together.
pub(super) struct FilterSchema;

/// One condition.
struct Condition;

impl PartialSchema for FilterSchema {
    fn schema() -> RefOr<Schema> {
        let clause = || any_of([list(named::<Condition>()).into(), named::<Condition>(), null()]);
        let min_should = object()
            .property("conditions", list(named::<Condition>()))
            .required("conditions")
            .property("min_count", integer_from(1))
            .required("min_count");
        object()
            .description(Some("Conditions on points. There is no other field, and at most 64 filters are inside of each other."))
            .property("must", clause())
            .property("should", clause())
            .property("must_not", clause())
            .property("min_should", or_null(min_should))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

impl ToSchema for FilterSchema {
    fn name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn schemas(schemas: &mut Schemas) {
        // A condition may be a filter, so it does not add that again.
        schemas.push((Condition::name().into_owned(), Condition::schema()));
        schema::add::<Id>(schemas);
        schema::add::<PathSchema>(schemas);
    }
}

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        let of_key = |name: &str| with([(name, with([("key", named::<PathSchema>())]).into())]);
        let slice = with([("total", integer_from(1)), ("index", count())]);
        let nested = with([("key", named::<PathSchema>()), ("filter", named::<FilterSchema>())]);
        any_of([
            field(),
            of_key("is_empty").into(),
            of_key("is_null").into(),
            with([("has_id", list(named::<Id>()).into())]).into(),
            with([("has_vector", text())]).into(),
            with([("slice", slice.into())]).into(),
            with([("nested", nested.into())]).into(),
            named::<FilterSchema>(),
        ])
    }
}

impl ToSchema for Condition {}

/// A condition on a payload field.
fn field() -> RefOr<Schema> {
    let corners = with([("top_left", place()), ("bottom_right", place())]);
    let circle = with([("center", place()), ("radius", number())]);
    let line = || with([("points", list(place()).min_items(Some(4)).into())]);
    let polygon = with([("exterior", line().into())]).property("interiors", or_null(list(line())));
    with([("key", named::<PathSchema>())])
        .description(Some("A condition on a payload field, which has at least one of the other properties."))
        .property("match", or_null(matching()))
        .property("range", or_null(any_of([bounds(number()), bounds(text())])))
        .property("geo_bounding_box", or_null(corners))
        .property("geo_radius", or_null(circle))
        .property("geo_polygon", or_null(polygon))
        .property("values_count", or_null(bounds(count())))
        .property("is_empty", or_null(boolean()))
        .property("is_null", or_null(boolean()))
        .into()
}

fn matching() -> RefOr<Schema> {
    let several = || any_of([list(text()).into(), list(signed()).into()]);
    any_of([
        with([("value", any_of([boolean(), signed(), text()]))]).into(),
        with([("any", several())]).into(),
        with([("except", several())]).into(),
        with([("text", text())]).into(),
        with([("text_any", text())]).into(),
        with([("phrase", text())]).into(),
        with([("prefix", text())]).into(),
        with([("substring", text())]).into(),
    ])
}

fn bounds(limit: RefOr<Schema>) -> RefOr<Schema> {
    ["lt", "gt", "gte", "lte"].into_iter().fold(object(), |object, name| object.property(name, or_null(limit.clone()))).into()
}

fn place() -> RefOr<Schema> {
    let degrees = |most: i32| ObjectBuilder::new().schema_type(Type::Number).minimum(Some(-most)).maximum(Some(most)).into();
    with([("lon", degrees(180)), ("lat", degrees(90))]).into()
}

/// An object that has to have these properties.
fn with<const N: usize>(properties: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    properties.into_iter().fold(object(), |object, (name, schema)| object.property(name, schema).required(name))
}
