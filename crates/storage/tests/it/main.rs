//! The storage seen from outside, on real and on simulated disks.

mod basics;
mod crash;
mod damage;
mod disk;
mod faults;
mod recorded;
mod state;
mod support;
