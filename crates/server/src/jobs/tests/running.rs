//! Order, parallelism, and what is kept of a job that has run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn jobs_of_a_target_run_one_after_another_in_the_order_of_submission() {
    let bench = Bench::started(4);
    let (order, at_once) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let submit = |number: usize| {
        let (order, at_once) = (Arc::clone(&order), Arc::clone(&at_once));
        bench.submit("storage", move |_| {
            assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
            order.lock().unwrap().push(number);
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(json!(number))
        })
    };
    let submitted: Vec<Submitted> = (0..30).map(submit).collect();
    for (number, submitted) in submitted.into_iter().enumerate() {
        assert_eq!(outcome(submitted).unwrap(), json!(number));
    }
    assert_eq!(*order.lock().unwrap(), (0..30).collect::<Vec<_>>());
}

#[test]
fn jobs_of_different_targets_run_at_once() {
    let bench = Bench::started(3);
    let jobs: Vec<Gated> = ["a", "b", "c"].map(|target| bench.gated(target, OnRestart::Again)).into();
    jobs.iter().for_each(Gated::wait_for_begin);
    for job in jobs {
        job.go.send(()).unwrap();
        assert_eq!(outcome(job.submitted).unwrap(), json!("gone"));
    }
}

#[test]
fn no_more_jobs_run_than_there_are_threads() {
    let bench = Bench::started(2);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let submit = |number: usize| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        bench.submit(&format!("collection/{number}"), move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Value::Null)
        })
    };
    let submitted: Vec<Submitted> = (0..40).map(submit).collect();
    for submitted in submitted {
        outcome(submitted).unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn jobs_of_a_busy_target_hold_back_no_other() {
    let bench = Bench::started(2);
    let first = bench.gated("collection/a", OnRestart::Again);
    first.wait_for_begin();
    let waiting: Vec<Submitted> = (0..49).map(|_| bench.submit("collection/a", |_| Ok(json!("later")))).collect();
    assert_eq!(outcome(bench.submit("collection/b", |_| Ok(json!("now")))).unwrap(), json!("now"));
    first.go.send(()).unwrap();
    for submitted in waiting {
        assert_eq!(outcome(submitted).unwrap(), json!("later"));
    }
}

#[test]
fn the_end_is_noted_before_the_waiter_is_told() {
    let bench = Bench::started(1);
    let submitted = bench.submit("storage", |running| {
        running.start(10);
        assert!(running.advance(4).is_continue() && running.advance(3).is_continue());
        assert_eq!((running.attempt(), running.checkpoint()), (1, None));
        Ok(json!({"name": "x"}))
    });
    let id = submitted.id().to_string();
    assert_eq!(outcome(submitted).unwrap(), json!({"name": "x"}));
    for (column, expected) in [
        ("id", id.as_str()),
        ("kind", "snapshot_create"),
        ("target", "storage"),
        ("request", r#"{"of":"storage"}"#),
        ("state", "completed"),
        ("result", r#"{"name":"x"}"#),
        ("error", "-"),
        ("bytes_done || '/' || bytes_total", "7/10"),
        ("attempts", "1"),
        ("finished_ms", &START.to_string()),
    ] {
        assert_eq!(bench.column(column), [expected], "{column}");
    }
}

#[test]
fn the_waiter_gets_the_error_itself() {
    let bench = Bench::started(1);
    let missing = || icecore_storage::Error::CollectionNotFound { name: "x".into() };
    let error = outcome(bench.submit("storage", move |_| Err(missing().into()))).unwrap_err();
    assert!(matches!(error, AppError::Storage(icecore_storage::Error::CollectionNotFound { .. })), "{error}");
    assert_eq!((bench.states(), bench.column("error")), (vec!["failed".to_owned()], vec![missing().to_string()]));
}

#[test]
fn a_job_goes_on_when_nobody_waits() {
    let bench = Bench::started(1);
    drop(bench.submit("storage", |_| Ok(json!(1))));
    drop(bench.submit("storage", |_| Err(JobsError::Stopped { id: JobId(uuid::Uuid::nil()) }.into())));
    outcome(bench.submit("storage", |_| Ok(Value::Null))).unwrap();
    assert_eq!(bench.states(), ["completed", "cancelled", "completed"]);
}

#[test]
fn ids_are_different_and_newer_ones_sort_last() {
    let bench = Bench::open(None, 1);
    let first = bench.submit("storage", |_| Ok(Value::Null)).id().to_string();
    let twin = bench.submit("storage", |_| Ok(Value::Null)).id().to_string();
    bench.clock.advance(Duration::from_millis(1));
    let last = bench.submit("storage", |_| Ok(Value::Null)).id().to_string();
    assert!(first != twin && first < last && twin < last, "{first} {twin} {last}");
}

#[test]
fn a_job_can_be_cancelled_while_it_waits_and_while_it_runs() {
    let bench = Bench::started(1);
    let (begun, began) = channel();
    let running = bench.submit("storage", move |running| {
        begun.send(()).unwrap();
        until_stopped(running)
    });
    let waiting = bench.submit("storage", |_| panic!("it was cancelled"));
    began.recv_timeout(LIMIT).unwrap();
    let (first, second) = (running.id(), waiting.id());
    assert!(matches!(bench.jobs.cancel(second).unwrap(), Cancel::Done));
    assert!(matches!(outcome(waiting).unwrap_err(), AppError::Jobs(JobsError::Cancelled { id }) if id == second));
    assert!(matches!(bench.jobs.cancel(first).unwrap(), Cancel::Asked { first: true, .. }));
    assert_eq!(kind(running), Kind::Cancelled);
    assert_eq!(bench.states(), ["cancelled", "cancelled"]);
    for ended in [first, second] {
        assert!(matches!(bench.jobs.cancel(ended).unwrap(), Cancel::Unknown));
    }
}
