//! Threads that leave tasks in an inbox, against the worker that empties it.

use super::*;
use crate::header::models::{free, task};
use loom::{sync::Arc, thread};

/// Two threads push, the worker takes meanwhile: each task arrives once, the list is whole. Fails if `push` is Relaxed,
/// or `take`: then a link is read while it is written.
#[test]
fn inbox_brings_each_task_once() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let tasks = [task(), task(), task()];
        let pusher = {
            let inbox = inbox.clone();
            thread::spawn(move || {
                inbox.push(tasks[0]);
                inbox.push(tasks[1]);
            })
        };
        let other = {
            let inbox = inbox.clone();
            thread::spawn(move || inbox.push(tasks[2]))
        };
        let mut came = Vec::new();
        while came.len() < 3 {
            if inbox.is_empty() {
                thread::yield_now();
                continue;
            }
            let list = inbox.take();
            assert!(list.len() > 0, "only the worker takes");
            came.extend(std::iter::from_fn(|| list.pop()));
        }
        assert!(inbox.is_empty());
        let at = |task| came.iter().position(|came| *came == task).expect("each comes");
        assert!(at(tasks[0]) < at(tasks[1]), "the oldest first");
        at(tasks[2]);
        pusher.join().unwrap();
        other.join().unwrap();
        // SAFETY: the other threads have ended.
        tasks.into_iter().for_each(|task| unsafe { free(task) });
    });
}
