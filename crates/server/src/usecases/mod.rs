//! What every front door calls. Synchronous: doors call these on blocking threads.

pub(crate) mod naming;
