//! The settings of the server: defaults, then YAML files, then environment variables, then flags.

mod model;

pub(crate) use model::{Config, Optimizers, Service, StorageSettings};
