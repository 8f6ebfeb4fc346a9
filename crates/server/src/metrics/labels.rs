//! The labels of all series.

use prometheus_client::encoding::EncodeLabelSet;

/// A collection, under the name that Qdrant gives the label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Id {
    pub(super) id: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Action {
    pub(super) kind: &'static str,
}

/// What archives are of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Scope {
    pub(super) scope: &'static str,
}

/// How a download or a verification ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Ending {
    pub(super) result: &'static str,
}

/// The program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}
