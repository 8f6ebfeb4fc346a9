//! Segments: immutable files of points.
