//! Helpers of tests.
