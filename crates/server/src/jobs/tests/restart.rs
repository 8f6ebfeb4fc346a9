//! What is left of jobs when the process ends, and what the next one makes of it.

use std::sync::Mutex;

use super::*;

/// A database that lives for the test.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A process that has not taken up anything yet.
    fn open(&self) -> Bench {
        Bench::open(Some(&self.0.path().join(FILE)), 2)
    }
}

/// What no job does.
fn never(_: &Running) -> Result<Value> {
    panic!("it is not done in this process")
}

/// Takes up everything, and runs nothing.
fn resume(bench: &Bench) -> Vec<StoredJob> {
    let seen = Mutex::new(Vec::new());
    let rebuild = |job: &StoredJob| {
        seen.lock().unwrap().push(job.clone());
        Some(Box::new(never) as Work)
    };
    bench.jobs.resume(rebuild).unwrap();
    seen.into_inner().unwrap()
}

#[test]
fn what_was_submitted_is_done_after_the_process_has_ended() {
    let disk = Disk::new();
    let first = disk.open();
    for target in ["a", "b", "a"] {
        first.submit(target, never);
    }
    drop(first);

    let second = disk.open();
    let order = Arc::new(Mutex::new(Vec::new()));
    // A job of the new process comes after the old ones of its target, whenever it was submitted.
    let log = Arc::clone(&order);
    let newest = second.submit("a", move |_| {
        log.lock().unwrap().push(json!("new"));
        Ok(Value::Null)
    });
    let log = &order;
    let rebuild = |job: &StoredJob| {
        assert_eq!((job.kind, job.attempts, &job.checkpoint), (JobKind::SnapshotCreate, 0, &None));
        assert_eq!(job.request, json!({"of": job.target}));
        let (log, request) = (Arc::clone(log), job.request.clone());
        Some(Box::new(move |running: &Running| {
            assert_eq!(running.attempt(), 1);
            log.lock().unwrap().push(request);
            Ok(json!("done"))
        }) as Work)
    };
    second.jobs.resume(rebuild).unwrap();
    second.jobs.start().unwrap();
    outcome(newest).unwrap();
    second.jobs.stop(LIMIT);
    let mut of_a = order.lock().unwrap().clone();
    of_a.retain(|request| *request != json!({"of": "b"}));
    assert_eq!(of_a, [json!({"of": "a"}), json!({"of": "a"}), json!("new")]);
}

#[test]
fn jobs_are_taken_up_in_the_order_of_submission_and_once() {
    let disk = Disk::new();
    let first = disk.open();
    let ids: Vec<JobId> = (0..20).map(|number| first.submit(&format!("{}", number % 3), never).id()).collect();
    drop(first);
    let second = disk.open();
    let taken: Vec<JobId> = resume(&second).iter().map(|job| job.id).collect();
    assert_eq!(taken, ids);
    assert_eq!(resume(&second), []);
}

#[test]
fn a_job_that_was_running_is_done_again_with_its_checkpoint() {
    let disk = Disk::new();
    let first = disk.open();
    first.jobs.start().unwrap();
    let (begun, began) = channel();
    let (go, gone) = channel::<()>();
    let submitted = first.submit("storage", move |running| {
        running.set_checkpoint(&json!({"archive": "x"}))?;
        begun.send(()).unwrap();
        let _ = gone.recv_timeout(LIMIT);
        Ok(json!("too late"))
    });
    began.recv_timeout(LIMIT).unwrap();
    // As killed: nobody takes note of what the thread still does.
    drop(first);

    let second = disk.open();
    let (done, ended) = channel();
    let rebuild = |job: &StoredJob| {
        assert_eq!((job.attempts, &job.checkpoint), (1, &Some(json!({"archive": "x"}))));
        let done = done.clone();
        Some(Box::new(move |running: &Running| {
            done.send((running.attempt(), running.checkpoint())).unwrap();
            Ok(json!("again"))
        }) as Work)
    };
    second.jobs.resume(rebuild).unwrap();
    second.jobs.start().unwrap();
    assert_eq!(ended.recv_timeout(LIMIT).unwrap(), (2, Some(json!({"archive": "x"}))));
    second.jobs.stop(LIMIT);
    go.send(()).unwrap();
    assert_eq!(kind(submitted), Kind::Cancelled);
    assert_eq!((second.states(), second.column("result")), (vec!["completed".to_owned()], vec!["\"again\"".to_owned()]));
}

#[test]
fn a_job_that_was_running_at_three_deaths_is_given_up() {
    let disk = Disk::new();
    drop(disk.open().submit("storage", never));
    for death in 0..3 {
        let process = disk.open();
        let taken = resume(&process);
        assert_eq!(taken.iter().map(|job| job.attempts).collect::<Vec<_>>(), [death]);
        process.jobs.shared.queue.start(Sequence::of(1), process.jobs.shared.now()).unwrap();
    }
    let last = disk.open();
    assert_eq!(resume(&last), []);
    assert_eq!((last.states(), last.column("error")), (vec!["failed".to_owned()], vec!["was interrupted 3 times".to_owned()]));
}

#[test]
fn orderly_ends_are_no_reason_to_give_up() {
    let disk = Disk::new();
    drop(disk.open().submit("storage", never));
    for _ in 0..5 {
        let process = disk.open();
        let (begun, began) = channel();
        let rebuild = |_: &StoredJob| {
            let begun = begun.clone();
            Some(Box::new(move |running: &Running| {
                begun.send(()).unwrap();
                until_stopped(running)
            }) as Work)
        };
        process.jobs.resume(rebuild).unwrap();
        process.jobs.start().unwrap();
        began.recv_timeout(LIMIT).unwrap();
        process.shutdown.force();
        process.jobs.stop(LIMIT);
    }
    let last = disk.open();
    assert_eq!(resume(&last).iter().map(|job| job.attempts).collect::<Vec<_>>(), [5]);
}

#[test]
fn jobs_that_are_not_to_be_done_again_have_failed() {
    let disk = Disk::new();
    let first = disk.open();
    for target in ["waiting", "running"] {
        first.jobs.submit(new(target, OnRestart::Fail), Box::new(never)).unwrap();
    }
    first.submit("gone", never);
    first.jobs.shared.queue.start(Sequence::of(2), first.jobs.shared.now()).unwrap();
    drop(first);
    let second = disk.open();
    second
        .jobs
        .resume(|job| {
            assert_eq!(job.target, "gone");
            None
        })
        .unwrap();
    assert_eq!(second.states(), ["failed", "failed", "failed"]);
    let errors = second.column("error");
    assert!(errors[0].contains("waited") && errors[1].contains("ran") && errors[2].contains("not there any more"), "{errors:?}");
}

#[test]
fn kinds_of_other_versions_are_left_alone() {
    let disk = Disk::new();
    let first = disk.open();
    first.submit("a", never);
    first.submit("b", never);
    first.jobs.shared.queue.execute("UPDATE jobs SET kind = 'cluster_move' WHERE target = 'a'");
    drop(first);
    let second = disk.open();
    assert_eq!(resume(&second).iter().map(|job| job.target.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((second.column("kind")[0].as_str(), second.states()[0].as_str()), ("cluster_move", "pending"));
}

#[test]
fn nonsense_in_a_row_is_damage() {
    let disk = Disk::new();
    let bench = disk.open();
    bench.submit("a", never);
    bench.jobs.shared.queue.execute("PRAGMA ignore_check_constraints = ON; UPDATE jobs SET on_restart = 'perhaps'");
    let left = bench.jobs.shared.queue.unfinished(Sequence::of(1)).unwrap_err();
    assert!(matches!(&left, JobsError::Damaged { reason, .. } if reason.contains("again")), "{left}");
}

#[test]
fn old_jobs_are_forgotten_and_those_that_wait_are_not() {
    let disk = Disk::new();
    let first = disk.open();
    first.submit("old", never);
    first.submit("waiting", never);
    first.submit("young", never);
    for (target, finished) in [("old", START - 30 * 86_400_000 - 1), ("young", START - 30 * 86_400_000)] {
        let end = format!("UPDATE jobs SET state = 'completed', finished_ms = {finished} WHERE target = '{target}'");
        first.jobs.shared.queue.execute(&end);
    }
    drop(first);
    assert_eq!(disk.open().column("target"), ["waiting", "young"]);
}

#[test]
fn old_jobs_are_forgotten_while_others_end() {
    let bench = Bench::started(1);
    outcome(bench.submit("old", |_| Ok(Value::Null))).unwrap();
    bench.clock.advance(Duration::from_secs(31 * 86_400));
    for _ in 0..256 {
        outcome(bench.submit("new", |_| Ok(Value::Null))).unwrap();
    }
    bench.jobs.stop(LIMIT);
    assert_eq!(bench.column("target"), vec!["new"; 256]);
}

#[test]
fn ten_thousand_finished_jobs_are_remembered() {
    let disk = Disk::new();
    let first = disk.open();
    first.submit("waiting", never);
    first.jobs.shared.queue.execute(&format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10005)
         INSERT INTO jobs (id, kind, target, request, on_restart, state, created_ms, finished_ms)
         SELECT n, 'snapshot_create', n, 'null', 'fail', 'completed', {START}, {START} + n FROM numbers"
    ));
    drop(first);
    let left = disk.open().column("target");
    assert_eq!((left.len(), left[0].as_str(), left[1].as_str()), (10_001, "waiting", "6"));
}

#[test]
fn the_id_of_the_node_stays() {
    let (disk, other) = (Disk::new(), Disk::new());
    let id = disk.open().jobs.peer_id();
    assert!((1..=1 << 53).contains(&id), "{id}");
    assert_eq!(disk.open().jobs.peer_id(), id);
    assert_ne!(other.open().jobs.peer_id(), id);
}
