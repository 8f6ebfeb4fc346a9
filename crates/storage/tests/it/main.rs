//! The storage seen from outside, on real and on simulated disks.

mod basics;
mod concurrency;
mod crash;
mod damage;
mod disk;
mod edges;
mod faults;
mod hostile;
mod model;
mod recorded;
mod state;
mod support;
