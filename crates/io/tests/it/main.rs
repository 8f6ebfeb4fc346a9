//! The contracts of the file systems: one suite for every implementation, and what each adds.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod conformance;
mod crash;
mod fault;
mod handles;
mod mem;
mod model;
mod os;
mod publish;
