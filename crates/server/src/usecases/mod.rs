//! What every front door calls. Synchronous: doors call these on blocking threads.

pub(crate) mod backups;
pub(crate) mod create;
pub(crate) mod fetch;
pub(crate) mod location;
pub(crate) mod naming;
pub(crate) mod recover;
pub(crate) mod restore;
pub(crate) mod sets;
pub(crate) mod share;
