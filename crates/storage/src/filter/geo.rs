//! Conditions on positions: objects with the numbers `lon` and `lat`, in degrees.
//!
//! Distances are on a sphere of the earth's mean radius, polygons are flat in longitude and latitude; points on an edge are
//! outside of all shapes. Sines and the orientation of three points are computed by Rust code, not by the system's library,
//! so that the last bit is the same on every machine. Source: Qdrant's types.rs and the geo crate that it uses.

use serde_json::Value;

/// The earth's mean radius in metres (IUGG; the geo crate's `MEAN_EARTH_RADIUS`).
const EARTH_RADIUS: f64 = 6_371_008.8;

/// A position in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoPoint {
    /// Longitude; -180 to 180 in filters, any in payloads.
    pub lon: f64,
    /// Latitude; -90 to 90 in filters, any in payloads.
    pub lat: f64,
}

/// A rectangle. If its left side is east of its right side, it crosses the 180th meridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoBoundingBox {
    /// The north-western corner.
    pub top_left: GeoPoint,
    /// The south-eastern corner.
    pub bottom_right: GeoPoint,
}

/// A circle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoRadius {
    /// Its centre.
    pub center: GeoPoint,
    /// Its radius in metres.
    pub radius: f64,
}

/// An area within a closed line and outside of others.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoPolygon {
    /// The line around it, at least four points of which the last is the first.
    pub exterior: Vec<GeoPoint>,
    /// The lines around its holes, likewise; `None` is not the same text as a list without lines, but the same area.
    pub interiors: Option<Vec<Vec<GeoPoint>>>,
}

/// Where a point is, seen from a closed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Inside,
    OnLine,
    Outside,
}

impl GeoPoint {
    /// The position that a payload's value is. Its numbers are not checked.
    pub fn of(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(Self { lon: object.get("lon")?.as_f64()?, lat: object.get("lat")?.as_f64()? })
    }

    /// The distance in metres (haversine).
    pub fn distance(self, other: Self) -> f64 {
        let half = |degrees: f64| libm::sin(degrees.to_radians() / 2.0);
        let (north, east) = (half(other.lat - self.lat), half(other.lon - self.lon));
        let scale = libm::cos(self.lat.to_radians()) * libm::cos(other.lat.to_radians());
        2.0 * EARTH_RADIUS * libm::asin(libm::sqrt(north * north + scale * east * east))
    }
}

impl GeoBoundingBox {
    /// Whether the point lies strictly inside.
    pub fn holds(&self, point: GeoPoint) -> bool {
        let (west, east) = (self.top_left.lon, self.bottom_right.lon);
        let longitude = if west > east { point.lon > west || point.lon < east } else { west < point.lon && point.lon < east };
        longitude && self.bottom_right.lat < point.lat && point.lat < self.top_left.lat
    }
}

impl GeoRadius {
    /// Whether the point is nearer to the centre than the radius.
    pub fn holds(&self, point: GeoPoint) -> bool {
        self.center.distance(point) < self.radius
    }
}

impl GeoPolygon {
    /// Whether the point lies strictly inside of the exterior and strictly outside of every interior.
    pub fn holds(&self, point: GeoPoint) -> bool {
        side(&self.exterior, point) == Side::Inside
            && self.interiors.iter().flatten().all(|line| side(line, point) == Side::Outside)
    }
}

/// Where the point is: inside of the line if the line winds around it, in either direction.
fn side(line: &[GeoPoint], point: GeoPoint) -> Side {
    let mut winding = 0_i64;
    let ends = line.iter().skip(1).chain(line.first());
    for (start, end) in line.iter().zip(ends) {
        let (low, high) = (start.lat.min(end.lat), start.lat.max(end.lat));
        if !(low <= point.lat && point.lat <= high) {
            continue;
        }
        let turn = orientation(*start, *end, point);
        let (west, east) = (start.lon.min(end.lon), start.lon.max(end.lon));
        if turn == 0.0 && west <= point.lon && point.lon <= east {
            return Side::OnLine;
        }
        // A line that only touches the point's latitude with its upper end is not crossed.
        if start.lat <= point.lat && point.lat < end.lat && turn > 0.0 {
            winding += 1;
        } else if end.lat <= point.lat && point.lat < start.lat && turn < 0.0 {
            winding -= 1;
        }
    }
    if winding == 0 { Side::Outside } else { Side::Inside }
}

/// Positive if the point is to the left of the way from start to end, 0 if on its line; exact.
fn orientation(start: GeoPoint, end: GeoPoint, point: GeoPoint) -> f64 {
    let [start, end, point] = [start, end, point].map(|at| robust::Coord { x: at.lon, y: at.lat });
    robust::orient2d(start, end, point)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(lon: f64, lat: f64) -> GeoPoint {
        GeoPoint { lon, lat }
    }

    fn line(points: &[(f64, f64)]) -> Vec<GeoPoint> {
        points.iter().map(|(lon, lat)| at(*lon, *lat)).collect()
    }

    #[test]
    fn distances_are_those_of_a_sphere() {
        // Source: a comment in Qdrant's tests gives the first one.
        let cases = [(at(0.0, 0.0), at(0.5, 0.5), 78_626.296_279_990_48), (at(0.0, 0.0), at(180.0, 0.0), 20_015_114.442_035_925)];
        for (left, right, metres) in cases {
            assert!((left.distance(right) - metres).abs() < 1e-6, "{}", left.distance(right));
        }
        let circle = GeoRadius { center: at(0.0, 0.0), radius: 80_000.0 };
        assert!(circle.holds(at(0.5, 0.5)) && !circle.holds(at(1.5, 1.5)));
        assert!(!GeoRadius { radius: 0.0, ..circle }.holds(at(0.0, 0.0)), "a radius is never reached");
    }

    #[test]
    fn rectangles_leave_out_their_edges_and_cross_the_meridian() {
        let rectangle = GeoBoundingBox { top_left: at(-1.0, 1.0), bottom_right: at(1.0, -1.0) };
        assert!(rectangle.holds(at(-0.5, 0.5)));
        for outside in [at(1.5, 1.5), at(1.0, 0.0), at(0.0, -1.0)] {
            assert!(!rectangle.holds(outside), "{outside:?}");
        }
        // Source: Qdrant's test with the rectangle around the United States.
        let states = GeoBoundingBox { top_left: at(167.0, 74.071_028), bottom_right: at(-66.885_417, 18.776_3) };
        assert!(states.holds(at(-73.991_516, 40.757_98)));
        assert!(!states.holds(at(13.410_53, 52.524_37)));
    }

    #[test]
    fn polygons_have_holes_and_no_edges() {
        // Source: Qdrant's `test_geo_polygon_check_point`; the last one winds twice around its middle.
        let square = line(&[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)]);
        let twisted = line(&[(-1.0, -1.0), (1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)]);
        let outer = line(&[(-1.0, -1.0), (1.5, -1.0), (1.5, 1.5), (-1.0, 1.5), (-1.0, -1.0)]);
        let hole = line(&[(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5), (-0.5, -0.5)]);
        let star = line(&[(0.0, 3.0), (2.0, -3.0), (-3.0, 1.0), (3.0, 1.0), (-2.0, -3.0), (0.0, 3.0)]);
        let cases = [
            (square, None, vec![(0.5, 0.5, true), (1.5, 1.5, false), (1.0, 0.0, false), (1.0, 1.0, false)]),
            (twisted, None, vec![(0.5, 0.0, true), (0.0, 0.5, false), (0.0, 0.0, false)]),
            (outer, Some(vec![hole]), vec![(0.6, 0.6, true), (0.0, 0.0, false), (0.5, 0.5, false), (0.5, 0.0, false)]),
            (star, None, vec![(0.0, 0.0, true), (0.0, 2.0, true), (2.0, 2.0, false)]),
        ];
        for (exterior, interiors, points) in cases {
            let polygon = GeoPolygon { exterior, interiors };
            for (lon, lat, inside) in points {
                assert_eq!(polygon.holds(at(lon, lat)), inside, "{lon} {lat} in {polygon:?}");
            }
        }
    }

    #[test]
    fn positions_are_objects_with_two_numbers() {
        assert_eq!(GeoPoint::of(&json!({"lon": 13, "lat": 52.5, "name": "x"})), Some(at(13.0, 52.5)));
        for other in [json!({"lon": 1}), json!({"lon": "1", "lat": "2"}), json!([1, 2]), json!("1,2"), json!(null)] {
            assert_eq!(GeoPoint::of(&other), None, "{other}");
        }
    }
}
