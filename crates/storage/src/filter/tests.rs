//! What each condition says of each kind of value, and that reading and writing are inverse.
//!
//! The unusual expectations (emptiness, nulls, empty clauses, nested filters, words, rounding of integers) were observed on the
//! engine of qdrant-edge 0.9.0, the one of Qdrant 1.20, without payload indexes; the others follow from Qdrant's
//! condition_checker.rs and query_checker.rs.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::*;

/// A point in memory that counts how often its payload was asked for.
struct Point {
    id: PointId,
    payload: Map<String, Value>,
    vectors: Vec<&'static str>,
    reads: Cell<usize>,
}

impl Candidate for Point {
    fn id(&self) -> PointId {
        self.id
    }

    fn payload(&self) -> Result<&Map<String, Value>> {
        self.reads.set(self.reads.get() + 1);
        Ok(&self.payload)
    }

    fn has_vector(&self, name: &str) -> Result<bool> {
        Ok(self.vectors.contains(&name))
    }
}

fn point(number: usize, payload: &Value) -> Point {
    let payload = payload.as_object().unwrap().clone();
    Point { id: PointId::Num(number as u64), payload, vectors: vec!["v"], reads: Cell::new(0) }
}

fn read(value: &Value) -> Filter {
    Filter::from_value(value).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// The places in the list of payloads that satisfy the filter; the filter goes through its text first.
fn found(payloads: &[Value], filter: &Value) -> Vec<usize> {
    let filter = Filter::parse(&read(filter).to_text()).unwrap();
    let matching = payloads.iter().enumerate().filter(|(number, payload)| filter.matches(&point(*number, payload)).unwrap());
    matching.map(|(number, _)| number).collect()
}

/// The same for a condition on the key `a`, of payloads that have these values there.
fn on(values: &[Value], condition: &Value) -> Vec<usize> {
    let payloads: Vec<Value> = values.iter().map(|value| json!({"a": value})).collect();
    let mut condition = condition.clone();
    condition["key"] = json!("a");
    found(&payloads, &json!({"must": condition}))
}

/// One payload of each kind that matters to emptiness.
fn kinds() -> Vec<Value> {
    let values = [
        json!(null),
        json!([]),
        json!([null]),
        json!([1, null]),
        json!(1),
        json!({}),
        json!("x"),
        json!([[]]),
        json!([[null]]),
        json!(true),
    ];
    let with_value = values.into_iter().map(|value| json!({"a": value}));
    std::iter::once(json!({})).chain(with_value).collect()
}

#[test]
fn values_are_counted_and_a_missing_one_is_none() {
    let cases = [
        ("a", json!({"lt": 1}), vec![0, 1, 2]),
        ("a", json!({"gte": 1}), vec![3, 4, 5, 6, 7, 8, 9, 10]),
        ("a", json!({"gt": 1, "lte": 2}), vec![4]),
        ("a[]", json!({"lt": 2}), (0..11).collect()),
    ];
    for (key, bounds, expected) in cases {
        let filter = json!({"must": {"key": key, "values_count": bounds}});
        assert_eq!(found(&kinds(), &filter), expected, "{filter}");
    }
}

#[test]
fn emptiness_and_null_as_conditions_of_a_field() {
    let cases = [
        ("a", json!({"is_empty": true}), vec![0, 1, 2]),
        ("a", json!({"is_empty": false}), vec![3, 4, 5, 6, 7, 8, 9, 10]),
        ("a", json!({"is_null": true}), vec![1, 3, 4]),
        ("a", json!({"is_null": false}), vec![0, 2, 5, 6, 7, 8, 9, 10]),
        // With brackets one element is enough, so a list can be both.
        ("a[]", json!({"is_empty": true}), vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 10]),
        ("a[]", json!({"is_empty": false}), vec![4, 9]),
        ("a[]", json!({"is_null": true}), vec![3, 4, 9]),
        ("a[]", json!({"is_null": false}), vec![0, 1, 2, 4, 5, 6, 7, 8, 10]),
    ];
    for (key, condition, expected) in cases {
        let mut condition = condition;
        condition["key"] = json!(key);
        assert_eq!(found(&kinds(), &json!({"must": condition})), expected, "{condition}");
    }
}

#[test]
fn emptiness_and_null_as_conditions_of_their_own() {
    let cases = [
        (json!({"is_empty": {"key": "a"}}), vec![0, 1, 2]),
        (json!({"is_null": {"key": "a"}}), vec![1, 3, 4]),
        // All elements must be empty here, other than in the condition of a field.
        (json!({"is_empty": {"key": "a[]"}}), vec![0, 1, 2, 3, 5, 6, 7, 8, 10]),
        (json!({"is_null": {"key": "a[]"}}), vec![3, 4, 9]),
    ];
    for (condition, expected) in cases {
        assert_eq!(found(&kinds(), &json!({"must": [condition]})), expected, "{condition}");
    }
}

#[test]
fn of_several_conditions_on_a_field_some_decide_alone_and_others_are_alternatives() {
    let cases = [
        (json!({"values_count": {"lt": 1}, "match": {"value": 1}}), vec![0, 1, 2]),
        (json!({"is_empty": true, "is_null": true}), vec![0, 1, 2]),
        (json!({"is_null": true, "match": {"value": 1}}), vec![1, 3, 4]),
        (json!({"match": {"value": "x"}, "range": {"gte": 1}}), vec![4, 5, 7]),
    ];
    for (condition, expected) in cases {
        let mut condition = condition;
        condition["key"] = json!("a");
        assert_eq!(found(&kinds(), &json!({"must": condition})), expected, "{condition}");
    }
}

#[test]
fn matches_tell_types_apart() {
    let values = [
        json!(9_007_199_254_740_993_u64),
        json!(1),
        json!(1.0),
        json!(true),
        json!("1"),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(["x", 1]),
        json!([[1]]),
        json!(null),
        json!({"x": 1}),
    ];
    let cases = [
        (json!({"value": 1}), vec![1, 7]),
        (json!({"value": true}), vec![3]),
        (json!({"value": "1"}), vec![4]),
        (json!({"value": 9_007_199_254_740_993_u64}), vec![0]),
        (json!({"value": i64::MIN}), vec![6]),
        (json!({"any": [1, 2]}), vec![1, 7]),
        (json!({"any": ["x", "1"]}), vec![4, 7]),
        (json!({"any": []}), vec![]),
        (json!({"except": [1]}), vec![0, 2, 3, 4, 5, 6, 7, 8, 10]),
        (json!({"except": ["x"]}), vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 10]),
        (json!({"except": []}), vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 10]),
        (json!({"prefix": ""}), vec![4, 7]),
        (json!({"prefix": "x"}), vec![7]),
        (json!({"substring": "1"}), vec![4]),
        (json!({"text": "x"}), vec![7]),
        (json!({"text_any": "1 y"}), vec![4]),
        (json!({"phrase": "x"}), vec![7]),
    ];
    for (condition, expected) in cases {
        assert_eq!(on(&values, &json!({"match": condition})), expected, "{condition}");
    }
}

#[test]
fn except_needs_a_value() {
    let payloads = [json!({}), json!({"a": null}), json!({"a": []}), json!({"a": [null]}), json!({"a": ["x", "y"]})];
    assert_eq!(found(&payloads, &json!({"must": {"key": "a", "match": {"except": ["x"]}}})), [4]);
    assert_eq!(found(&payloads, &json!({"must_not": {"key": "a", "match": {"any": ["x"]}}})), [0, 1, 2, 3]);
}

#[test]
fn ranges_of_numbers_are_ranges_of_floats() {
    let values = [
        json!(9_007_199_254_740_993_u64),
        json!(9_007_199_254_740_992_u64),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(true),
        json!("1"),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(i64::MAX),
    ];
    let cases = [
        // 2^53 + 1 is rounded to 2^53 before it is compared.
        (json!({"gt": 9_007_199_254_740_992_u64}), vec![7, 9, 10]),
        (json!({"gte": 9_007_199_254_740_993_u64}), vec![0, 1, 7, 9, 10]),
        (json!({"lte": 1}), vec![2, 3, 8]),
        (json!({"lt": 2, "gt": 1}), vec![4]),
        (json!({"gt": 9.3e18}), vec![7, 9]),
        (json!({}), vec![0, 1, 2, 3, 4, 7, 8, 9, 10]),
        (json!({"lt": null}), vec![0, 1, 2, 3, 4, 7, 8, 9, 10]),
    ];
    for (condition, expected) in cases {
        assert_eq!(on(&values, &json!({"range": condition})), expected, "{condition}");
    }
}

#[test]
fn ranges_of_datetimes_compare_instants() {
    let values = [
        json!("2020-03-01"),
        json!("2020-03-01T02:00:00+02:00"),
        json!("2020-03-01T00:00:00.5Z"),
        json!("soon"),
        json!(1),
        json!(["x", "2021-01-01 10:00"]),
    ];
    let cases = [
        (json!({"gte": "2020-03-01T00:00:00Z", "lt": "2020-03-01T00:00:00.5Z"}), vec![0, 1]),
        (json!({"gt": "2020-03-01"}), vec![2, 5]),
        // What is finer than a microsecond is not compared.
        (json!({"gte": "2020-03-01T00:00:00.5000009Z", "lt": "2021-01-01"}), vec![2]),
        (json!({"lte": "2020-03-01T00:00:00.5+00:00", "gt": null}), vec![0, 1, 2]),
    ];
    for (condition, expected) in cases {
        assert_eq!(on(&values, &json!({"range": condition})), expected, "{condition}");
    }
}

#[test]
fn positions_lie_in_circles_rectangles_and_polygons() {
    let values = [
        json!({"lat": 52, "lon": 13}),
        json!({"lat": "52", "lon": 13}),
        json!({"lat": 52.5}),
        json!({"lon": 13.0, "lat": 52.0, "x": 1}),
        json!([{"lat": 0, "lon": 0}, {"lat": 52, "lon": 13}]),
        json!({"lat": 200, "lon": 500}),
        json!({"lat": 0, "lon": 179}),
        json!({"lat": 0, "lon": -179}),
    ];
    let corner = |lat: f64, lon: f64| json!({"lat": lat, "lon": lon});
    let triangle = json!({"points": [corner(0.0, 0.0), corner(60.0, 0.0), corner(60.0, 60.0), corner(0.0, 0.0)]});
    let cases = [
        (json!({"geo_radius": {"center": corner(52.0, 13.0), "radius": 1000}}), vec![0, 3, 4]),
        (
            json!({"geo_bounding_box": {"top_left": corner(90.0, -180.0), "bottom_right": corner(-90.0, 180.0)}}),
            vec![0, 3, 4, 6, 7],
        ),
        (json!({"geo_bounding_box": {"top_left": corner(10.0, 170.0), "bottom_right": corner(-10.0, -170.0)}}), vec![6, 7]),
        (json!({"geo_polygon": {"exterior": triangle}}), vec![0, 3, 4]),
        (json!({"geo_polygon": {"exterior": triangle, "interiors": [triangle]}}), vec![]),
    ];
    for (condition, expected) in cases {
        assert_eq!(on(&values, &condition), expected, "{condition}");
    }
}

#[test]
fn clauses_without_conditions() {
    let cases = [
        (json!({}), vec![0, 1]),
        (json!({"must": []}), vec![0, 1]),
        (json!({"must_not": []}), vec![0, 1]),
        (json!({"should": []}), vec![0, 1]),
        (json!({"must": null, "should": null, "min_should": null}), vec![0, 1]),
        (json!({"must": [{"should": []}]}), vec![0, 1]),
        (json!({"must_not": [{"should": []}]}), vec![]),
        (json!({"must_not": [{"must": []}]}), vec![]),
        (json!({"min_should": {"conditions": [], "min_count": 1}}), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&[json!({}), json!({})], &filter), expected, "{filter}");
    }
}

#[test]
fn clauses_are_combined() {
    let payloads: Vec<Value> = (0..4).map(|number| json!({"a": number, "b": number % 2})).collect();
    let (a, b) =
        (|at: u64| json!({"key": "a", "range": {"gte": at}}), |value: u64| json!({"key": "b", "match": {"value": value}}));
    let cases = [
        (json!({"must": [a(1), b(1)]}), vec![1, 3]),
        (json!({"should": [a(3), b(0)]}), vec![0, 2, 3]),
        (json!({"must_not": [a(3), b(0)]}), vec![1]),
        (json!({"must": a(1), "should": [b(1)], "must_not": {"has_id": [3]}}), vec![1]),
        (json!({"min_should": {"conditions": [a(1), a(2), b(1)], "min_count": 2}}), vec![1, 2, 3]),
        (json!({"min_should": {"conditions": [a(1), a(2), b(1)], "min_count": 3}}), vec![3]),
        (json!({"min_should": {"conditions": [a(1)], "min_count": 2}}), vec![]),
        (json!({"must": [{"should": [{"must": [a(2), b(1)]}, {"has_id": [0]}]}]}), vec![0, 3]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&payloads, &filter), expected, "{filter}");
    }
}

#[test]
fn nested_conditions_are_on_one_element() {
    let payloads = [
        json!({"a": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]}),
        json!({"a": {"b": 1, "c": 4}}),
        json!({"a": [{"b": 1, "c": 4}]}),
        json!({"a": [[{"b": 1}]]}),
        json!({"a": []}),
        json!({}),
    ];
    let b = json!({"key": "b", "match": {"value": 1}});
    let c = json!({"key": "c", "match": {"value": 4}});
    let cases = [
        ("a", json!({"must": [b, c]}), vec![2]),
        ("a", json!({"must_not": b}), vec![0]),
        ("a", json!({}), vec![0, 2]),
        ("a[]", json!({"must": b}), vec![0, 2]),
        ("a[][]", json!({"must": b}), vec![3]),
        ("a[0]", json!({"must": b}), vec![3]),
        // Ids and vectors are unknown in an element.
        ("a", json!({"must": {"has_id": [0, 1, 2]}}), vec![]),
        ("a", json!({"must_not": {"has_id": [0, 1, 2]}}), vec![0, 2]),
        ("a", json!({"must": {"has_vector": "v"}}), vec![]),
        ("a", json!({"must_not": {"slice": {"total": 1, "index": 0}}}), vec![0, 2]),
        // Elsewhere a `should` without conditions is satisfied.
        ("a", json!({"should": []}), vec![]),
        ("a", json!({"must": [{"should": []}]}), vec![]),
    ];
    for (key, filter, expected) in cases {
        let filter = json!({"must": {"nested": {"key": key, "filter": filter}}});
        assert_eq!(found(&payloads, &filter), expected, "{filter}");
    }
}

#[test]
fn ids_are_found_in_every_spelling_and_vectors_by_name() {
    let uuid = "550e8400-e29b-41d4-a716-446655440000";
    let mut candidate = point(0, &json!({}));
    candidate.id = PointId::Uuid(*uuid::Uuid::parse_str(uuid).unwrap().as_bytes());
    for spelling in [
        uuid,
        "550E8400E29B41D4A716446655440000",
        "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
        "{550e8400-e29b-41d4-a716-446655440000}",
    ] {
        let filter = read(&json!({"must": {"has_id": [7, spelling]}}));
        assert!(filter.matches(&candidate).unwrap(), "{spelling}");
        assert_eq!(filter.to_text(), format!(r#"{{"must":{{"has_id":[7,"{uuid}"]}}}}"#));
    }
    assert!(read(&json!({"must": {"has_vector": "v"}})).matches(&candidate).unwrap());
    assert!(!read(&json!({"must": {"has_vector": ""}})).matches(&candidate).unwrap());
}

#[test]
fn the_payload_is_read_only_where_it_is_needed() {
    for (filter, needed) in [
        (json!({"must": [{"has_id": [0]}, {"has_vector": "v"}], "should": {"slice": {"total": 1, "index": 0}}}), false),
        (json!({"must": {"must_not": {"has_id": [1]}}}), false),
        (json!({"must_not": {"is_empty": {"key": "a"}}}), true),
        (json!({"should": {"key": "a", "is_null": true}}), true),
        (json!({"min_should": {"conditions": [{"must": {"nested": {"key": "a", "filter": {}}}}], "min_count": 1}}), true),
    ] {
        let (parsed, candidate) = (read(&filter), point(0, &json!({})));
        assert_eq!(parsed.needs_payload(), needed, "{filter}");
        let _answer = parsed.matches(&candidate).unwrap();
        assert_eq!(candidate.reads.get() > 0, needed, "{filter}");
    }
}

#[test]
fn ids_that_must_be_are_known_without_a_scan() {
    let numbers =
        |filter: Value| read(&filter).ids().map(|ids| ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().join(" "));
    for (filter, expected) in [
        (json!({"must": [{"has_id": [3, 1, 2, 1]}, {"key": "a", "is_null": true}]}), Some("1 2 3")),
        (json!({"must": [{"has_id": [1, 2]}, {"must": {"has_id": [2, 3]}}]}), Some("2")),
        (json!({"must": {"has_id": []}}), Some("")),
        (json!({"should": {"has_id": [1]}}), None),
        (json!({"must_not": {"has_id": [1]}}), None),
        (json!({"must": {"nested": {"key": "a", "filter": {"must": {"has_id": [1]}}}}}), None),
        (json!({}), None),
    ] {
        assert_eq!(numbers(filter.clone()).as_deref(), expected, "{filter}");
    }
    assert!(read(&json!({"must": [], "should": null})).is_empty());
    assert!(!read(&json!({"min_should": {"conditions": [], "min_count": 1}})).is_empty());
}

#[test]
fn an_error_of_the_candidate_is_passed_on() {
    struct Damaged;
    impl Candidate for Damaged {
        fn id(&self) -> PointId {
            PointId::Num(1)
        }
        fn payload(&self) -> Result<&Map<String, Value>> {
            Err(crate::Error::Closed)
        }
        fn has_vector(&self, _: &str) -> Result<bool> {
            Err(crate::Error::Closed)
        }
    }
    assert!(read(&json!({"must_not": {"key": "a", "match": {"value": 1}}})).matches(&Damaged).is_err());
    assert!(read(&json!({"should": {"has_vector": "v"}})).matches(&Damaged).is_err());
    assert!(read(&json!({"must": {"has_id": [1]}})).matches(&Damaged).unwrap());
}

mod reading {
    use super::*;

    #[test]
    fn unknown_fields_are_refused_in_filters_and_ignored_in_conditions() {
        assert!(Filter::parse(r#"{"musst": []}"#).is_err());
        assert!(Filter::parse(r#"{"must": [{"musst": []}]}"#).is_err());
        for condition in [
            json!({"key": "a", "match": {"value": 1, "boost": 2}, "note": 3}),
            json!({"has_id": [1], "note": 3}),
            json!({"is_null": {"key": "a", "note": 3}}),
            json!({"nested": {"key": "a", "filter": {}, "note": 3}}),
        ] {
            assert!(Filter::from_value(&json!({"must": [condition]})).is_ok(), "{condition}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let closed = json!({"points": [{"lon": 0, "lat": 0}, {"lon": 1, "lat": 0}, {"lon": 0, "lat": 0}]});
        let cases = [
            (json!([]), "filter: expected an object, found a list"),
            (json!({"must": 1}), "filter.must: expected an object, found `1`"),
            (json!({"must": [{"has_id": [1, -1]}]}), "filter.must[0].has_id[1]: value -1 is not a valid point ID"),
            (json!({"must": {"has_id": 1}}), "filter.must.has_id: expected a list, found `1`"),
            (json!({"must": [{"key": "a"}]}), "filter.must[0]: At least one field condition must be specified"),
            (json!({"must": [{"key": "a b", "is_null": true}]}), "filter.must[0].key: Invalid json path: 'a b'"),
            (json!({"must": [{"key": 1, "is_null": true}]}), "filter.must[0].key: expected a string, found `1`"),
            (json!({"must": [{"key": "a", "match": {"value": 1.5}}]}), "filter.must[0].match.value: expected a boolean"),
            (
                json!({"must": [{"key": "a", "match": {"any": ["x", 1]}}]}),
                "filter.must[0].match.any: expected a list of strings or",
            ),
            (json!({"must": [{"key": "a", "match": {}}]}), "filter.must[0].match: expected one of `value`"),
            (
                json!({"must": [{"key": "a", "range": {"gte": "soon"}}]}),
                "filter.must[0].range.gte: 'soon' does not match accepted",
            ),
            (
                json!({"must": [{"key": "a", "range": {"gte": "2020-01-01", "lt": 5}}]}),
                "filter.must[0].range.lt: expected a string",
            ),
            (
                json!({"must": [{"key": "a", "values_count": {"gte": -1}}]}),
                "filter.must[0].values_count.gte: expected an unsigned",
            ),
            (json!({"must": [{"key": "a", "is_empty": 1}]}), "filter.must[0].is_empty: expected a boolean, found `1`"),
            (
                json!({"must": [{"key": "a", "geo_radius": {"center": {"lon": 0, "lat": 91}, "radius": 1}}]}),
                "filter.must[0].geo_radius.center: Wrong format of GeoPoint payload: expected `lat` = 91 within [-90;90]",
            ),
            (
                json!({"must": [{"key": "a", "geo_polygon": {"exterior": closed}}]}),
                "filter.must[0].geo_polygon.exterior: polygon invalid, the size must be at least 4, got 3",
            ),
            (json!({"min_should": {"conditions": []}}), "filter.min_should: missing field `min_count`"),
            (json!({"min_should": {"conditions": [], "min_count": 0}}), "filter.min_should: min_count value 0 is invalid."),
            (json!({"must": {"slice": {"total": 2, "index": 2}}}), "filter.must.slice: Slice index must be in [0;1], got 2"),
            (json!({"must": {"nested": {"key": "a"}}}), "filter.must.nested: missing field `filter`"),
            (json!({"must": {"wrong": 1}}), "filter.must: unknown field `wrong`"),
        ];
        for (filter, message) in cases {
            let error = Filter::from_value(&filter).map(|parsed| parsed.to_text()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{filter}: {error}");
        }
        assert!(Filter::parse("{").is_err());
    }

    #[test]
    fn depth_and_number_of_conditions_are_bounded() {
        let deep = |depth: usize| (1..depth).fold(json!({}), |filter, _| json!({"must": filter}));
        assert!(Filter::from_value(&deep(DEPTH_MAX)).is_ok());
        assert!(Filter::from_value(&deep(DEPTH_MAX + 1)).unwrap_err().to_string().contains("more than 64 filters"));
        // Filters beside each other are no depth.
        assert!(Filter::from_value(&json!({"must": vec![deep(2); 100]})).is_ok());
        let wide = |count: usize| json!({"should": vec![json!({"has_id": [1]}); count]});
        assert!(Filter::from_value(&wide(CONDITIONS_MAX)).is_ok());
        assert!(Filter::from_value(&wide(CONDITIONS_MAX + 1)).unwrap_err().to_string().contains("more than 65536 conditions"));
        // A text that is too deep even for JSON ends in an error, not in the stack.
        assert!(Filter::parse(&format!("{}1{}", r#"{"must":"#.repeat(100_000), "}".repeat(100_000))).is_err());
    }
}

mod round_trip {
    use super::*;

    /// A generator of pseudo-random numbers (xorshift64*), so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
        }

        fn one_of(&mut self, values: &[Value]) -> Value {
            values[usize::try_from(self.below(values.len() as u64)).unwrap()].clone()
        }
    }

    fn position(random: &mut Random) -> Value {
        let part = |random: &mut Random| random.below(1_000_000) as f64 / 7919.0;
        json!({"lon": part(random), "lat": part(random) / 2.0})
    }

    fn field(random: &mut Random) -> Value {
        let keys = ["a", "a.b[].c", "a[0]", "\"x y\".z"].map(|key| json!(key));
        let mut condition = json!({"key": random.one_of(&keys)});
        let (name, value) = match random.below(9) {
            0 => ("is_empty", json!(random.below(2) == 0)),
            1 => ("is_null", json!(random.below(2) == 0)),
            2 => ("values_count", json!({"gte": random.below(9), "lt": u64::MAX - random.below(9)})),
            3 => ("range", json!({"gt": random.below(1 << 60) as f64 / 3.0, "lte": 5e-324, "lt": 1e300})),
            4 => (
                "range",
                json!({"gte": format!("20{:02}-01-0{} 10:00:00.1+0{}", random.below(99), random.below(9) + 1, random.below(9))}),
            ),
            5 => ("geo_radius", json!({"center": position(random), "radius": 1.0 / (random.below(9) + 1) as f64})),
            6 => ("geo_bounding_box", json!({"top_left": position(random), "bottom_right": position(random)})),
            7 => {
                let first = position(random);
                let line = json!({"points": [first, position(random), position(random), position(random), first]});
                ("geo_polygon", json!({"exterior": line, "interiors": random.one_of(&[json!(null), json!([]), json!([line])])}))
            }
            _ => {
                let matches = [
                    json!({"value": true}),
                    json!({"value": i64::MIN}),
                    json!({"value": "é\n\""}),
                    json!({"any": []}),
                    json!({"any": [3, 1, 1]}),
                    json!({"except": ["b", "a"]}),
                    json!({"text": "x"}),
                    json!({"text_any": ""}),
                    json!({"phrase": "p q"}),
                    json!({"prefix": "π"}),
                    json!({"substring": "s"}),
                ];
                ("match", random.one_of(&matches))
            }
        };
        condition[name] = value;
        condition
    }

    fn condition(random: &mut Random, depth: u64) -> Value {
        match random.below(if depth == 0 { 6 } else { 9 }) {
            0 => json!({"is_empty": {"key": "a"}}),
            1 => json!({"is_null": {"key": "a[]"}}),
            2 => json!({"has_id": [random.below(9), u64::MAX, "550E8400-E29B-41D4-A716-446655440000"]}),
            3 => json!({"has_vector": random.one_of(&[json!(""), json!("v")])}),
            4 => json!({"slice": {"total": 9, "index": random.below(9)}}),
            5 | 6 => field(random),
            7 => json!({"nested": {"key": "a.b", "filter": filter(random, depth - 1)}}),
            _ => filter(random, depth - 1),
        }
    }

    fn filter(random: &mut Random, depth: u64) -> Value {
        let mut filter = json!({});
        for clause in ["must", "must_not", "should"] {
            let list = |random: &mut Random, count| (0..count).map(|_| condition(random, depth)).collect::<Value>();
            match random.below(5) {
                0 => filter[clause] = condition(random, depth),
                1 => filter[clause] = list(random, 0),
                2 => filter[clause] = list(random, 3),
                3 => filter[clause] = json!(null),
                _ => {}
            }
        }
        if random.below(4) == 0 {
            filter["min_should"] = json!({"conditions": [condition(random, depth)], "min_count": random.below(3) + 1});
        }
        filter
    }

    #[test]
    fn the_text_of_a_filter_is_the_same_filter() {
        let mut random = Random(0x1cec_03e5);
        for round in 0..3000 {
            let sent = filter(&mut random, 3);
            let parsed = read(&sent);
            let text = parsed.to_text();
            assert_eq!(Filter::parse(&text), Ok(parsed.clone()), "round {round}: {sent}");
            assert_eq!(Filter::parse(&text).unwrap().to_text(), text, "the text is canonical");
            assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), parsed, "through serde");
            assert_eq!(serde_json::to_string(&parsed).unwrap(), text, "through serde");
        }
    }
}
