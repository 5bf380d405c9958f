use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{Panicked, Worker, caught, side_by_side};

/// Keeps what is logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut lines = self.0.lock().unwrap();
        lines.push(format!("{field}={value:?}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What `work` comes to, and what is logged while it runs.
fn run<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    let outcome = tracing::subscriber::with_default(log.clone(), || runtime.block_on(work));
    let lines = log.0.lock().unwrap().clone();
    (outcome, lines)
}

async fn fail() {
    tokio::task::yield_now().await;
    panic!("a secret that was at hand");
}

#[test]
fn a_worker_that_panics_takes_no_other_with_it() {
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let good: Worker = Box::pin(async move {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        count.fetch_add(1, Ordering::SeqCst);
    });
    let ((), log) = run(side_by_side(vec![Box::pin(fail()), good, Box::pin(fail())]));
    assert_eq!(done.load(Ordering::SeqCst), 1);
    let name = r#"message=background_worker_panicked"#;
    assert_eq!(log.iter().filter(|line| *line == name).count(), 2);
    assert!(!format!("{log:?}").contains("secret"), "{log:?}");
}

#[test]
fn what_panics_is_caught_and_what_ends_is_handed_on() {
    assert_eq!(run(caught("keys", fail())).0, Err(Panicked));
    assert_eq!(run(caught("keys", async { 7 })), (Ok(7), Vec::new()));
}

#[test]
fn a_task_of_a_list_that_panics_is_named_in_the_log_and_one_that_is_ended_is_not() {
    let ((), log) = run(async {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(fail());
        super::note_end(&tasks.join_next().await.unwrap());
        tasks.spawn(pending());
        tasks.abort_all();
        super::note_end(&tasks.join_next().await.unwrap());
    });
    let expected = [
        "worker=\"status_list\"",
        "message=background_worker_panicked",
    ];
    for line in expected {
        assert_eq!(
            log.iter().filter(|seen| *seen == line).count(),
            1,
            "{log:?}"
        );
    }
}
