//! The storage seen from outside, on real and on simulated disks.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails, and the numbers of tests are small"
)]

mod basics;
mod compaction;
mod concurrency;
mod crash;
mod damage;
mod damaged_parts;
mod disk;
mod edges;
mod failing;
mod faults;
mod foreign_logs;
mod hostile;
mod inspect;
mod model;
mod plain;
mod random;
mod recorded;
mod several_shards;
mod state;
mod support;
