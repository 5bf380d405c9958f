//! Count: takes a request's work, gives how many statements it ran.
//!
//! What runs in a task of its own is nobody's.

use std::cell::Cell;

tokio::task_local! {
    static RUN: Cell<u64>;
}

/// Does `work`; what came of it, and its statements.
pub(crate) async fn counted<T>(work: impl Future<Output = T>) -> (T, u64) {
    let counting = async {
        let done = work.await;
        (done, RUN.with(Cell::get))
    };
    RUN.scope(Cell::new(0), counting).await
}

/// Counts one statement of whoever counts.
pub(super) fn one() {
    let _ = RUN.try_with(|run| run.set(run.get() + 1));
}
