//! What the end of the server makes of jobs that wait and of jobs that run.

use super::*;

#[test]
fn who_waits_for_a_job_that_does_not_begin_any_more_is_told() {
    let bench = Bench::started(1);
    let running = bench.gated("storage", OnRestart::Again);
    running.wait_for_begin();
    let waiting = bench.submit("storage", |_| panic!("nothing begins any more"));
    bench.jobs.halt();
    assert_eq!(kind(waiting), Kind::Cancelled);
    // It is for the next process.
    assert_eq!(kind(bench.submit("storage", |_| panic!("nothing begins any more"))), Kind::Cancelled);
    running.go.send(()).unwrap();
    assert_eq!(outcome(running.submitted).unwrap(), json!("gone"));
    bench.jobs.stop(LIMIT);
    assert_eq!(bench.states(), ["completed", "pending", "pending"]);
}

#[test]
fn nothing_begins_once_the_end_is_asked_for() {
    let bench = Bench::started(2);
    bench.shutdown.force();
    let submitted = bench.submit("storage", |_| panic!("nothing begins any more"));
    bench.jobs.stop(LIMIT);
    assert_eq!(kind(submitted), Kind::Cancelled);
    assert_eq!(bench.states(), ["pending"]);
}

#[test]
fn what_the_end_stops_is_done_again_or_has_failed() {
    let bench = Bench::started(3);
    let (begun, began) = channel();
    let stopped = |target, on_restart| {
        let begun = begun.clone();
        let work = move |running: &Running| {
            begun.send(()).unwrap();
            until_stopped(running)
        };
        bench.jobs.submit(new(target, on_restart), Box::new(work)).unwrap()
    };
    let (again, fail) = (stopped("a", OnRestart::Again), stopped("b", OnRestart::Fail));
    began.recv_timeout(LIMIT).unwrap();
    began.recv_timeout(LIMIT).unwrap();
    bench.shutdown.force();
    bench.jobs.stop(LIMIT);
    assert_eq!((kind(again), kind(fail)), (Kind::Cancelled, Kind::Cancelled));
    assert_eq!(bench.states(), ["pending", "failed"]);
    assert_eq!(bench.column("error"), ["-", "the server was stopped while the job ran; ask again"]);
    assert_eq!(bench.column("interruptions"), ["0", "0"]);
}

#[tokio::test]
async fn draining_waits_for_a_job_that_runs() {
    let bench = Bench::started(1);
    let Gated { submitted, began, go } = bench.gated("storage", OnRestart::Again);
    began.recv_timeout(LIMIT).unwrap();
    tokio::select! {
        biased;
        () = bench.shutdown.idle() => panic!("a job runs"),
        () = std::future::ready(()) => {}
    }
    go.send(()).unwrap();
    submitted.outcome().await.unwrap();
    tokio::time::timeout(LIMIT, bench.shutdown.idle()).await.unwrap();
}

#[test]
fn a_job_that_does_not_stop_in_time_counts_as_interrupted() {
    let bench = Bench::started(1);
    let deaf = bench.gated("storage", OnRestart::Again);
    deaf.wait_for_begin();
    bench.shutdown.force();
    bench.jobs.stop(Duration::ZERO);
    deaf.go.send(()).unwrap();
    assert_eq!(kind(deaf.submitted), Kind::Cancelled);
    assert_eq!(bench.states(), ["running"]);
}

#[test]
fn a_closed_database_is_one_file_whoever_still_holds_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let bench = Bench::open(Some(&dir.path().join(FILE)), 1);
    bench.jobs.start().unwrap();
    let id = {
        let submitted = bench.submit("storage", |_| Ok(json!(1)));
        let id = submitted.id();
        outcome(submitted).unwrap();
        id
    };
    assert!(bench.jobs.stop(LIMIT) && files().len() > 1, "the log is beside it");
    bench.jobs.close().unwrap();
    assert_eq!(files(), [FILE]);
    let late = bench.jobs.submit(new("storage", OnRestart::Again), Box::new(|_| Ok(Value::Null)));
    assert_eq!(late.unwrap_err().kind(), Kind::Cancelled);
    assert_eq!(bench.jobs.describe(id).unwrap_err().kind(), Kind::Cancelled);
    bench.jobs.close().unwrap();
    let next = Bench::open(Some(&dir.path().join(FILE)), 1);
    assert_eq!(next.states(), ["completed"]);
}

#[test]
fn threads_end_with_the_queue() {
    let bench = Bench::started(2);
    let shared = Arc::clone(&bench.jobs.shared);
    drop(bench);
    assert_eq!(shared.wait_for_threads(LIMIT), 0);
}
