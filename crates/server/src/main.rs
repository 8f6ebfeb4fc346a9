//! The `icecore` binary: a server for collections of points, and tools for their archives.

mod app;
mod config;
mod error;
mod stores;
mod usecases;

fn main() {}
