//! What the models of others want to know of a worker without a thread.

use super::*;

/// A task that somebody woke, if one is in the inbox.
pub(crate) fn woken(worker: &Worker) -> Option<TaskRef> {
    let tasks = worker.inbox.take();
    let task = tasks.pop();
    assert_eq!(tasks.len(), 0, "the model has one task");
    task
}

/// It has found nothing to do.
pub(crate) fn fall_asleep(worker: &Worker) {
    assert!(worker.mode.fall_asleep(false, || false));
}

/// Its sleep is over.
pub(crate) fn awake(worker: &Worker) {
    worker.mode.awake();
}
