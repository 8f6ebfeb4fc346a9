//! What fails in the background, where no request sees it, told in the log: once when it begins, and once when it is over.

use std::sync::Arc;
use std::time::Duration;

use icecore_storage::Storage;

use crate::app::App;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// The problems that were told and are not over.
#[derive(Debug, Default)]
struct Known {
    flush: Option<String>,
    compaction: Option<String>,
}

/// Looks at the storage for ever.
pub(super) async fn watch_storage(app: Arc<App>) {
    let mut known = Known::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        known.look(&app.storage);
    }
}

impl Known {
    fn look(&mut self, storage: &Storage) {
        if let Some(problem) = changed(&mut self.flush, storage.flush_problem()) {
            match problem {
                Some(reason) => tracing::error!("points cannot be moved from memory to the disk: {reason}"),
                None => tracing::info!("points are moved from memory to the disk again"),
            }
        }
        if let Some(problem) = changed(&mut self.compaction, storage.compaction_problem()) {
            match problem {
                Some(reason) => tracing::warn!("segments cannot be merged, and stay in use as they are: {reason}"),
                None => tracing::info!("segments are merged again"),
            }
        }
    }
}

/// The problem, or that it is over, if that is not what is `known`.
fn changed(known: &mut Option<String>, problem: Option<String>) -> Option<&Option<String>> {
    if *known == problem {
        return None;
    }
    *known = problem;
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_once_and_so_is_its_end() {
        let mut known = None;
        let mut told = Vec::new();
        for look in [None, Some("full"), Some("full"), Some("damaged"), None, None] {
            told.extend(changed(&mut known, look.map(str::to_owned)).cloned());
        }
        assert_eq!(told, [Some("full".to_owned()), Some("damaged".to_owned()), None]);
    }
}
