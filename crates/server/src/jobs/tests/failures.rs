//! Panics, full disks and databases that refuse.

use super::*;

#[test]
fn a_panic_is_a_failure_of_the_job_alone() {
    let bench = Bench::started(1);
    let submitted = bench.submit("storage", |_| panic!("boom"));
    let id = submitted.id();
    let error = outcome(submitted).unwrap_err();
    assert!(matches!(error, AppError::Jobs(JobsError::Panicked { id: of }) if of == id), "{error}");
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(outcome(bench.submit("storage", |_| Ok(json!("next")))).unwrap(), json!("next"));
    assert_eq!(bench.states(), ["failed", "completed"]);
    assert_eq!(bench.column("error"), [format!("unexpected failure of job {id}"), "-".to_owned()]);
}

#[test]
fn a_full_disk_fails_the_request_and_nothing_else() {
    let bench = Bench::started(1);
    // SQLite takes the present size for less than that.
    bench.jobs.shared.queue.execute("PRAGMA max_page_count = 1");
    let large = NewJob { request: json!("x".repeat(100_000)), ..new("storage", OnRestart::Again) };
    let error = bench.jobs.submit(large.clone(), Box::new(|_| Ok(Value::Null))).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    assert!(bench.states().is_empty());
    bench.jobs.shared.queue.execute("PRAGMA max_page_count = 1000000");
    let submitted = bench.jobs.submit(large, Box::new(|_| Ok(json!("fits")))).unwrap();
    assert_eq!(outcome(submitted).unwrap(), json!("fits"));
}

#[test]
fn a_database_that_refuses_fails_the_request_with_file_and_operation() {
    let bench = Bench::started(1);
    bench.jobs.shared.queue.execute("PRAGMA query_only = ON");
    let error = bench.jobs.submit(new("storage", OnRestart::Again), Box::new(|_| Ok(Value::Null))).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Internal, "add a job in the database \":memory:\""));
}

#[test]
fn a_job_is_done_and_its_waiter_told_even_if_no_note_can_be_taken() {
    let bench = Bench::started(1);
    let first = bench.gated("storage", OnRestart::Again);
    first.wait_for_begin();
    let second = bench.submit("storage", |running| Ok(json!(running.attempt())));
    bench.jobs.shared.queue.execute("PRAGMA query_only = ON");
    first.go.send(()).unwrap();
    assert_eq!(outcome(first.submitted).unwrap(), json!("gone"));
    assert_eq!(outcome(second).unwrap(), json!(1));
    // The next process looks at both again.
    assert_eq!(bench.states(), ["running", "pending"]);
}

#[test]
fn a_checkpoint_that_cannot_be_kept_is_an_error_for_the_work() {
    let bench = Bench::started(1);
    let shared = Arc::clone(&bench.jobs.shared);
    let submitted = bench.submit("storage", move |running| {
        running.set_checkpoint(&json!(1))?;
        shared.queue.execute("PRAGMA query_only = ON");
        let failed = running.set_checkpoint(&json!(2));
        assert_eq!(running.checkpoint(), Some(json!(1)));
        shared.queue.execute("PRAGMA query_only = OFF");
        failed.map(|()| Value::Null)
    });
    assert_eq!(kind(submitted), Kind::Internal);
    assert_eq!((bench.states(), bench.column("checkpoint")), (vec!["failed".to_owned()], vec!["1".to_owned()]));
}

#[test]
fn errors_of_the_queue_are_of_kinds_whose_text_only_the_log_sees() {
    let id = JobId(uuid::Uuid::nil());
    let path = || "/secret".into();
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    for (error, kind) in [
        (JobsError::Create { path: path(), source: full() }, Kind::NoSpace),
        (JobsError::Damaged { path: path(), reason: String::new() }, Kind::Corrupt),
        (JobsError::Foreign { path: path() }, Kind::Internal),
        (JobsError::Newer { path: path(), found: 2, known: 1 }, Kind::Internal),
        (JobsError::Journal { path: path(), mode: String::new() }, Kind::Internal),
        (JobsError::Thread { source: full() }, Kind::Internal),
        (JobsError::Panicked { id }, Kind::Internal),
        (JobsError::Stopped { id }, Kind::Cancelled),
    ] {
        assert_eq!(AppError::from(error).kind(), kind);
    }
}
