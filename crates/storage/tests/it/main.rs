//! The storage seen from outside, on real and on simulated disks.

mod basics;
mod support;
