//! What the manager's API adds: jobs that are shown, heard of, stopped and done again.

use tokio::sync::broadcast::error::TryRecvError;

use super::*;

fn managed(kind: JobKind, on_restart: OnRestart) -> NewJob {
    let target = format!("collection/{kind}");
    NewJob { kind, target, request: json!({"metadata": {}}), on_restart, waits_for_others: false }
}

fn submit(bench: &Bench, kind: JobKind, work: impl FnOnce(&Running) -> Result<Value> + Send + 'static) -> Submitted {
    bench.jobs.submit(managed(kind, OnRestart::Again), Box::new(work)).unwrap()
}

fn fails(_: &Running) -> Result<Value> {
    Err(icecore_storage::Error::CollectionNotFound { name: "x".into() }.into())
}

fn states(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Vec<State> {
    let mut states = Vec::new();
    loop {
        match events.try_recv() {
            Ok(Event::State { state, .. }) => states.push(state),
            Ok(Event::Progress { .. }) => {}
            Err(TryRecvError::Empty) => return states,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits for the end of a job that was asked to stop, as its front door does.
fn wait(end: JobEnd) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, end.wait()).await }).unwrap();
}

#[test]
fn a_failed_job_is_done_again_under_its_name_and_as_if_it_had_not_run() {
    let bench = Bench::started(1);
    let mut events = bench.jobs.listen().unwrap();
    let submitted = submit(&bench, JobKind::Backup, |running| {
        running.start(10);
        let _ = running.advance(4);
        running.set_checkpoint(&json!({"name": "x"}))?;
        fails(running)
    });
    let id = submitted.id();
    assert_eq!(id.0.get_version_num(), 4);
    outcome(submitted).unwrap_err();
    let failed = bench.jobs.describe(id).unwrap().unwrap();
    assert_eq!((failed.state, failed.bytes.percent(), failed.retries), (State::Failed, 40, 0));
    assert_eq!(failed.error.as_deref(), Some("Collection `x` doesn't exist!"));

    bench.clock.advance(Duration::from_secs(60));
    let (done, ended) = channel();
    let again = |job: &StoredJob| {
        assert_eq!((job.id, &job.checkpoint), (id, &None));
        Some(Box::new(move |running: &Running| {
            done.send(running.checkpoint()).unwrap();
            Ok(Value::Null)
        }) as Work)
    };
    assert_eq!(bench.jobs.retry(id, again).unwrap(), Retry::Done);
    assert_eq!(ended.recv_timeout(LIMIT).unwrap(), None);
    bench.jobs.stop(LIMIT);
    let again = bench.jobs.describe(id).unwrap().unwrap();
    assert_eq!((again.state, again.retries, &again.error), (State::Completed, 1, &None));
    assert_eq!((again.created, again.bytes), (failed.created, Bytes::default()));
    assert!(again.started > failed.started && again.checkpoint.is_none());
    let begun = [State::Pending, State::Running];
    let told = [&begun[..], &[State::Failed], &begun, &[State::Completed]].concat();
    assert_eq!(states(&mut events), told);
}

#[test]
fn only_what_has_failed_or_was_cancelled_is_done_again_and_only_once() {
    let bench = Bench::open(None, 1);
    let nothing = |_: &StoredJob| -> Option<Work> { panic!("there is nothing to be done again") };
    let waiting = submit(&bench, JobKind::Restore, |_| Ok(Value::Null)).id();
    assert_eq!(bench.jobs.retry(waiting, nothing).unwrap(), Retry::Unknown);
    assert_eq!(bench.jobs.retry(JobId(uuid::Uuid::nil()), nothing).unwrap(), Retry::Unknown);
    assert!(matches!(bench.jobs.cancel(waiting).unwrap(), Cancel::Done));
    assert_eq!(bench.jobs.retry(waiting, |_| None).unwrap(), Retry::Impossible);
    assert_eq!(bench.states(), ["cancelled"]);
    let work = |_: &StoredJob| Some(Box::new(|_: &Running| Ok(Value::Null)) as Work);
    assert_eq!(bench.jobs.retry(waiting, work).unwrap(), Retry::Done);
    assert_eq!(bench.jobs.retry(waiting, work).unwrap(), Retry::Unknown);
    assert_eq!((bench.states(), bench.column("retries")), (vec!["pending".to_owned()], vec!["1".to_owned()]));
    // It waits in the schedule, too.
    assert!(matches!(bench.jobs.cancel(waiting).unwrap(), Cancel::Done));
}

#[test]
fn a_running_job_is_cancelled_once_however_many_ask() {
    let bench = Bench::started(1);
    let (begun, began) = channel();
    let submitted = submit(&bench, JobKind::Backup, move |running| {
        begun.send(()).unwrap();
        until_stopped(running)
    });
    let id = submitted.id();
    began.recv_timeout(LIMIT).unwrap();
    let ask = || match bench.jobs.cancel(id).unwrap() {
        Cancel::Asked { first, end } => (first, Some(end)),
        Cancel::Done | Cancel::Unknown => (false, None),
    };
    let (first, second) = (ask(), ask());
    assert!(first.0 && !second.0);
    wait(first.1.unwrap());
    let ended = bench.jobs.describe(id).unwrap().unwrap();
    assert_eq!((ended.state, ended.finished.is_some()), (State::Cancelled, true));
    assert_eq!(kind(submitted), Kind::Cancelled);
}

#[test]
fn a_cancellation_that_comes_too_late_changes_nothing() {
    let bench = Bench::started(1);
    let job = bench.gated("storage", OnRestart::Again);
    job.wait_for_begin();
    let id = job.submitted.id();
    let Cancel::Asked { first: true, end } = bench.jobs.cancel(id).unwrap() else { panic!("it runs") };
    job.go.send(()).unwrap();
    wait(end);
    assert_eq!(outcome(job.submitted).unwrap(), json!("gone"));
    assert_eq!(bench.states(), ["completed"]);
}

#[test]
fn lists_have_the_newest_first_and_only_what_is_shown() {
    let bench = Bench::open(None, 1);
    drop(bench.submit("storage", |_| Ok(Value::Null)));
    let mut ids = Vec::new();
    for kind in [JobKind::Backup, JobKind::Restore, JobKind::Backup, JobKind::ShardRestore] {
        bench.clock.advance(Duration::from_millis(1));
        ids.push(submit(&bench, kind, |_| Ok(Value::Null)).id());
    }
    bench.jobs.cancel(ids[2]).unwrap();
    let list = |filter, offset, limit| {
        let (found, total) = bench.jobs.list(filter, offset, limit).unwrap();
        let place = |job: Description| ids.iter().position(|id| *id == job.id).unwrap();
        (found.into_iter().map(place).collect::<Vec<_>>(), total)
    };
    let all = Filter::default();
    assert_eq!(list(all, 0, 100), (vec![3, 2, 1, 0], 4));
    assert_eq!(list(all, 1, 2), (vec![2, 1], 4));
    assert_eq!(list(all, u64::MAX, 2), (vec![], 4));
    let backups = Filter { kind: Some(JobKind::Backup), ..all };
    assert_eq!(list(backups, 0, 100), (vec![2, 0], 2));
    assert_eq!(list(Filter { state: Some(State::Pending), ..backups }, 0, 100), (vec![0], 1));
    assert_eq!(list(Filter { state: Some(State::Running), ..all }, 0, 100), (vec![], 0));
}

#[test]
fn whoever_asks_gets_the_numbers_of_the_moment_and_the_database_those_of_a_while_ago() {
    let bench = Bench::started(1);
    let (begun, began) = channel();
    let (go, gone) = channel::<()>();
    let submitted = submit(&bench, JobKind::Backup, move |running| {
        running.start(1000);
        let _ = running.advance(250);
        begun.send(()).unwrap();
        let _ = gone.recv_timeout(LIMIT);
        Ok(Value::Null)
    });
    began.recv_timeout(LIMIT).unwrap();
    bench.clock.advance(Duration::from_secs(1));
    let id = submitted.id();
    let now = bench.jobs.describe(id).unwrap().unwrap();
    assert_eq!((now.bytes.percent(), now.pace.map(|pace| pace.remaining_seconds)), (25, Some(3)));

    let mut events = bench.jobs.listen().unwrap();
    let mut pulse = pulse::Pulse::default();
    for _ in 0..4 {
        pulse.beat(&bench.jobs.shared);
    }
    assert_eq!(bench.column("bytes_done || '/' || bytes_total"), ["250/1000"]);
    // The queue's own pulse may have told it too, and neither repeats itself.
    let told = std::iter::from_fn(|| events.try_recv().ok()).count();
    assert!((1..=2).contains(&told), "{told}");
    go.send(()).unwrap();
    outcome(submitted).unwrap();
}

#[test]
fn listeners_have_an_end() {
    let bench = Bench::open(None, 1);
    let listeners: Vec<_> = std::iter::from_fn(|| bench.jobs.listen()).take(1000).collect();
    assert_eq!(listeners.len(), 256);
    drop(listeners);
    assert!(bench.jobs.listen().is_some());
}
