//! Logs go to standard error, one line each, without colours.

use std::str::FromStr;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// A text that is no log level.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is neither a level (error, warn, info, debug, trace, off) nor a list of target=level")]
pub(crate) struct LevelError {
    text: String,
    source: ParseError,
}

/// Starts logging at `level`, which may be a list of `target=level`.
pub(crate) fn init(level: &str) -> Result<(), LevelError> {
    let filter = Targets::from_str(level).map_err(|source| LevelError { text: level.to_owned(), source })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    // Fails only if there is a logger already, which then logs.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(())
}
