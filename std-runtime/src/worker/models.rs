//! What the models of others want to know of a worker without a thread.

use super::*;

/// A task that somebody woke, if one is in the inbox.
pub(crate) fn woken(worker: &Worker) -> Option<TaskRef> {
    let mut tasks = worker.inbox.take();
    let task = tasks.pop();
    assert_eq!(tasks.len(), 0, "the model has one task");
    task
}
