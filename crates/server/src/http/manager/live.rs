//! What happens, while it happens: the messages that the web client understands, over a WebSocket.
//!
//! A message is `{"type": …, "payload": …}` with one of the types `job_status`, `job_progress`, `cluster_status` and `error`. The
//! state of the cluster comes first and whenever it changes. Who does not keep up misses messages and is told how many, so that it can
//! ask for the jobs; nobody waits for it. What a client sends means nothing. The end of the server ends every connection.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::described::JOBS;
use super::job::progress;
use crate::app::App;
use crate::http::envelope::ApiError;
use crate::http::openapi::{Door, Operation, answers};
use crate::jobs::Event;

/// The longest message that a client may send, in bytes.
const RECEIVED_LEN_MAX: usize = 4096;
/// Time between two signs of life, which the client has to answer before the next but one.
pub(super) const BEAT: Duration = Duration::from_secs(15);
/// Time between two looks at the state of the cluster.
const LOOK: Duration = Duration::from_secs(5);

/// The route, and what it means.
pub(super) fn routes() -> Door {
    let operation = Operation::new(JOBS, "live_messages", "What happens to jobs, over a WebSocket")
        .notes(
            "Messages are `{\"type\", \"payload\"}` with the types `job_status`, `job_progress`, `cluster_status` and `error`. What a \
             client sends means nothing.",
        )
        .answer(101, answers::empty("The connection is a WebSocket from now on."))
        .errors(&[400, 426]);
    Door::new().get("/ws", connect, operation)
}

/// `GET /api/v1/ws`
async fn connect(State(app): State<Arc<App>>, upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_message_size(RECEIVED_LEN_MAX).max_frame_size(RECEIVED_LEN_MAX),
        Err(rejection) => return ApiError { status: rejection.status(), message: rejection.body_text() }.into_response(),
    };
    match Feed::open(app) {
        Ok(feed) => upgrade.on_upgrade(|socket| serve(socket, feed)),
        Err(error) => error.into_response(),
    }
}

/// The messages for one listener.
pub(super) struct Feed {
    app: Arc<App>,
    events: Receiver<Event>,
    cluster: Option<&'static str>,
    looks: Interval,
}

impl Feed {
    /// Listens from now on; 503 if too many do, or the server ends.
    pub(super) fn open(app: Arc<App>) -> Result<Self, ApiError> {
        if app.shutdown.is_requested() {
            return Err(ApiError::stopped());
        }
        let too_many = || ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "Service temporarily unavailable: too many clients listen already".to_owned(),
        };
        let events = app.jobs.listen().ok_or_else(too_many)?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { events, app, cluster: None, looks })
    }

    /// The next message; `None` when the server ends. Dropped before it is done, it loses nothing.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            let message = tokio::select! {
                () = self.app.shutdown.requested() => return None,
                event = self.events.recv() => match event {
                    Ok(event) => message(event),
                    Err(RecvError::Lagged(count)) => missed(count),
                    // The queue goes with the server.
                    Err(RecvError::Closed) => return None,
                },
                _ = self.looks.tick() => {
                    let status = status(&self.app);
                    if self.cluster.replace(status) == Some(status) {
                        continue;
                    }
                    json!({"type": "cluster_status", "payload": {"status": status}})
                }
            };
            return Some(message.to_string());
        }
    }
}

/// Sends messages until one side ends.
async fn serve(mut socket: WebSocket, mut feed: Feed) {
    let _begun = feed.app.shutdown.begin();
    let mut beats = interval(BEAT);
    let mut heard = Instant::now();
    loop {
        let sent = tokio::select! {
            message = feed.next() => match message {
                Some(text) => socket.send(Message::text(text)).await,
                None => {
                    let reason = CloseFrame { code: close_code::AWAY, reason: "the server is being stopped".into() };
                    // Whoever is gone already need not be told.
                    let _ = socket.send(Message::Close(Some(reason))).await;
                    return;
                }
            },
            received = socket.recv() => match received {
                Some(Ok(_)) => {
                    heard = Instant::now();
                    Ok(())
                }
                Some(Err(_)) | None => return,
            },
            _ = beats.tick() => {
                if heard.elapsed() > 2 * BEAT {
                    return;
                }
                socket.send(Message::Ping(Default::default())).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// As the manager names what Qdrant's nodes are: one that is there is `green`, unless its data is in danger.
fn status(app: &App) -> &'static str {
    if app.storage.flush_problem().is_some() { "yellow" } else { "green" }
}

fn missed(count: u64) -> Value {
    json!({"type": "error", "payload": {"message": format!("{count} messages were missed; ask for the jobs")}})
}

fn message(event: Event) -> Value {
    match event {
        Event::State { job, state, error } => {
            let mut payload = json!({"job_id": job.to_string(), "status": state.as_str()});
            if let (Some(error), Value::Object(payload)) = (error, &mut payload) {
                payload.insert("error".to_owned(), Value::String(error));
            }
            json!({"type": "job_status", "payload": payload})
        }
        Event::Progress { job, state, bytes, pace } => {
            let mut payload = json!({
                "job_id": job.to_string(),
                "progress": progress(state, bytes),
                "bytes_done": bytes.done,
                "bytes_total": bytes.total,
            });
            if let (Some(pace), Value::Object(payload)) = (pace, &mut payload) {
                payload.insert("bytes_per_second".to_owned(), Value::from(pace.bytes_per_second));
                payload.insert("remaining_seconds".to_owned(), Value::from(pace.remaining_seconds));
            }
            json!({"type": "job_progress", "payload": payload})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{Bytes, Pace, State as JobState};

    #[test]
    fn messages_have_the_form_that_the_web_client_reads() {
        let job = "0191a0c8-6f3e-4d1a-9c3a-2f6f7d1b1a11".parse().unwrap();
        let id = "0191a0c8-6f3e-4d1a-9c3a-2f6f7d1b1a11";
        assert_eq!(
            message(Event::State { job, state: JobState::Failed, error: Some("why".to_owned()) }),
            json!({"type": "job_status", "payload": {"job_id": id, "status": "failed", "error": "why"}})
        );
        assert_eq!(
            message(Event::State { job, state: JobState::Pending, error: None }),
            json!({"type": "job_status", "payload": {"job_id": id, "status": "pending"}})
        );
        let (bytes, pace) = (Bytes { done: 5, total: 10 }, Pace { bytes_per_second: 1, remaining_seconds: 5 });
        assert_eq!(
            message(Event::Progress { job, state: JobState::Running, bytes, pace: Some(pace) }),
            json!({"type": "job_progress", "payload": {
                "job_id": id, "progress": 50, "bytes_done": 5, "bytes_total": 10, "bytes_per_second": 1, "remaining_seconds": 5,
            }})
        );
    }
}
