//! A task that parks against its wakers, with everything that a worker does between two of its runs.

use super::*;
use crate::{
    header::{
        Inbox,
        models::{free, task},
    },
    runtime::models,
};
use loom::{
    sync::{Arc, atomic::AtomicBool},
    thread,
};

struct World {
    task: TaskRef,
    inbox: Inbox,
    /// What the wakers do first. Relaxed: the task sees it by K4, or not at all.
    done: [AtomicBool; 2],
}

impl World {
    /// A waker's part.
    fn wake(&self, i: usize, worker: &'static Worker) {
        self.done[i].store(true, Relaxed);
        if self.task.notify() {
            assert!(self.task.worker().is_some_and(|home| std::ptr::eq(home, worker)), "K2");
            self.inbox.push(self.task);
        }
    }

    /// The task's part, and its worker's: it parks until all has been done that it waits for.
    fn run(&self, wakers: usize, worker: &'static Worker) {
        self.task.resume(worker);
        while !self.done[..wakers].iter().all(|done| done.load(Relaxed)) {
            if self.task.take_notification() {
                continue;
            }
            if self.task.park() {
                while self.inbox.is_empty() {
                    thread::yield_now();
                }
                let queue = self.inbox.take();
                assert!(queue.pop() == Some(self.task));
                assert_eq!(queue.len(), 0, "queued twice");
            }
            self.task.resume(worker);
        }
    }
}

fn model(wakers: usize) {
    loom::model(move || {
        let shared = models::shared(1);
        let worker = &shared.workers()[0];
        let world = Arc::new(World { task: task(), inbox: Inbox::new(), done: Default::default() });
        let threads: Vec<_> = (0..wakers)
            .map(|i| {
                let world = world.clone();
                thread::spawn(move || world.wake(i, worker))
            })
            .collect();
        world.run(wakers, worker);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(world.inbox.is_empty(), "queued while it runs");
        // SAFETY: the other threads have ended.
        unsafe {
            free(world.task);
            models::free(shared);
        }
    });
}

/// A wake-up is never lost, however it meets a park: the task would wait for ever. Fails if either half of `notify` is Relaxed, or
/// the taking of a notification is; and if `park` is Relaxed, since the waker looks for the worker.
#[test]
fn state_loses_no_wake_up() {
    model(1);
}

/// Two wakers: the task is queued once, and sees what both did. Fails as above, and if `take_notification` stores instead of swapping.
#[test]
fn state_queues_a_task_once() {
    model(2);
}
