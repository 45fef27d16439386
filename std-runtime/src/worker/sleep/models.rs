//! The end of a worker against those who give it tasks, and those who take them away: W4. A spawn against a worker that spins, and falls
//! asleep: W3. And how it is woken: W6.

use super::*;
use crate::{
    header::models::{free, task},
    runtime::models,
    sync::atomic::AtomicUsize,
    worker::free::Free,
};
use loom::thread;
use std::sync::Arc;

impl Worker {
    /// What `main` does with its free list, to the end. How many tasks it has run.
    fn serve(&self) -> usize {
        let mut ran = 0;
        loop {
            while self.pop_free(Free::pop).is_some() {
                self.discount_bound();
                ran += 1;
            }
            if self.shared.is_ended() && self.close() {
                return ran;
            }
            if self.mode.fall_asleep(false, || self.last_look(false)) {
                while self.mode.is_asleep() {
                    thread::yield_now();
                }
                self.mode.awake();
            }
        }
    }
}

/// A task is placed while its runtime ends, and the worker with it: either the worker runs it, or it is given back. Fails if `place`
/// does not look whether the list is closed, or `close` does not look at the tasks.
#[test]
fn end_leaves_no_task_in_a_closed_list() {
    loom::model(|| {
        let shared = models::shared(1);
        let worker = &shared.workers()[0];
        let task = task();
        let places = thread::spawn(move || worker.place(task).is_ok());
        let ends = thread::spawn(move || shared.end());
        let ran = worker.serve();
        assert_eq!(ran, usize::from(places.join().unwrap()));
        ends.join().unwrap();
        // SAFETY: the other threads have ended.
        unsafe {
            free(task);
            models::free(shared);
        }
    });
}

/// A thief takes the last task of a worker whose runtime ends: the worker ends, and does not sleep for ever over a task that
/// it has no more.
#[test]
fn end_is_seen_behind_a_thief() {
    loom::model(|| {
        let shared = models::shared(1);
        let worker = &shared.workers()[0];
        let task = task();
        assert!(worker.place(task).is_ok());
        let stolen = Arc::new(AtomicUsize::new(0));
        let thief = {
            let stolen = stolen.clone();
            thread::spawn(move || {
                if let Some(tasks) = worker.give_half(0, true) {
                    assert!(tasks.pop() == Some(task) && tasks.len() == 0);
                    stolen.fetch_add(1, Relaxed);
                }
            })
        };
        let ends = thread::spawn(move || shared.end());
        let ran = worker.serve();
        thief.join().unwrap();
        ends.join().unwrap();
        assert_eq!(ran + stolen.load(Relaxed), 1);
        // SAFETY: the other threads have ended.
        unsafe {
            free(task);
            models::free(shared);
        }
    });
}

/// A worker spawns a task, and wakes nobody if another one spins; that one ends its spin and falls asleep. It does not sleep over the task.
/// Fails if `offer` has no fence, or if the last look does not see what others have.
#[test]
fn spawn_is_seen_behind_a_spin() {
    loom::model(|| {
        let shared = models::shared_that_spins(2);
        let [here, other] = shared.workers() else { unreachable!() };
        let task = task();
        assert!(shared.start_spinning());
        other.mode.spin();
        let spins = thread::spawn(move || {
            if other.mode.end_spin() {
                shared.stop_spinning();
            }
            other.mode.fall_asleep(false, || other.last_look(false))
        });
        assert!(here.place_own(task).is_ok());
        shared.offer(here);
        spins.join().unwrap();
        assert!(!other.mode.is_asleep());
        // SAFETY: the other threads have ended.
        unsafe {
            free(task);
            models::free(shared);
        }
    });
}

/// A worker spawns a third task, and looks for nobody if two wait there still; another one takes those, one by one, and falls asleep. It does
/// not sleep over the third. Fails if the first spawn, or the second, looks for nobody, or if the last look does not see what others have.
#[test]
fn spawn_beside_others_is_seen() {
    loom::model(|| {
        let shared = models::shared(2);
        let [here, other] = shared.workers() else { unreachable!() };
        let tasks = [task(), task(), task()];
        let [first, second, third] = tasks;
        assert!(here.place_own(first).is_ok() && here.place_own(second).is_ok());
        let thief = thread::spawn(move || {
            while let Some(stolen) = here.give_half(0, true) {
                while stolen.pop().is_some() {}
            }
            other.mode.fall_asleep(false, || other.last_look(false))
        });
        shared.place_spawned(Some(here), third);
        thief.join().unwrap();
        assert!(!other.mode.is_asleep() || here.free_tasks() == 0);
        // SAFETY: the other threads have ended.
        unsafe {
            while here.pop_free(Free::pop).is_some() {}
            tasks.into_iter().for_each(|task| free(task));
            models::free(shared);
        }
    });
}

/// What a worker was given is left alone by who gave it, but by nobody else, not when its time is over, and not if that one has less by two
/// tasks. Fails if any of these is not looked at.
#[test]
fn what_was_given_is_left_alone() {
    loom::model(|| {
        let shared = models::shared(3);
        let [here, giver, other] = shared.workers() else { unreachable!() };
        let tasks = [task(), task()];
        assert!(here.place_own(tasks[0]).is_ok());
        here.given.set(giver, u64::MAX);
        here.given.note(giver);
        assert!(
            giver.patience().is_some_and(|left| left > Duration::from_secs(1)),
            "not a new time before the old one is over"
        );
        assert!(giver.steal(true).is_none() && !giver.last_look(true));
        assert!(other.patience().is_none() && other.last_look(false));
        assert!(here.place_own(tasks[1]).is_ok());
        assert!(giver.patience().is_none() && giver.last_look(true), "it has less by two");
        assert!(other.steal(true).is_some());
        assert!(giver.patience().is_some());
        here.given.set(giver, 0);
        assert!(giver.patience().is_none() && giver.steal(true).is_some(), "its time is over");
        // SAFETY: there is no other thread.
        unsafe {
            tasks.into_iter().for_each(|task| free(task));
            models::free(shared);
        }
    });
}

/// A worker spawns a task that another one leaves alone for now, and falls asleep: not without a limit. Fails if the last look of one that
/// does not nap passes over what it leaves alone.
#[test]
fn what_is_left_alone_is_not_slept_over() {
    loom::model(|| {
        let shared = models::shared(2);
        let [here, other] = shared.workers() else { unreachable!() };
        let task = task();
        here.given.set(other, u64::MAX);
        let sleeps = thread::spawn(move || {
            let naps = other.patience().is_some();
            other.mode.fall_asleep(naps, || other.last_look(naps));
        });
        shared.place_spawned(Some(here), task);
        sleeps.join().unwrap();
        assert!(!other.mode.is_asleep());
        // SAFETY: the other thread has ended.
        unsafe {
            assert!(here.pop_free(Free::pop).is_some());
            free(task);
            models::free(shared);
        }
    });
}

/// Two tasks are woken while their worker falls asleep, once in its poller, once parked: whoever ends a sleep ends it the way it is
/// slept. Fails if `doze` says how only when it has said that it sleeps, if `rouse` looks before it has ended that, or if the
/// change of the mode to ASLEEP, or from it, is Relaxed.
#[test]
fn sleep_is_ended_the_way_it_is_slept() {
    loom::model(|| {
        let shared = models::shared(1);
        let worker = &shared.workers()[0];
        let tasks = [task(), task()];
        let rings = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let brings = {
            let rings = rings.clone();
            thread::spawn(move || {
                for task in tasks {
                    worker.inbox.push(task);
                    // As `rouse`, but that it rings for the model.
                    if worker.mode.rouse() == Roused::Sleeper {
                        rings[usize::from(worker.in_poller.load(Relaxed))].fetch_add(1, Relaxed);
                    }
                }
            })
        };
        let (mut came, mut in_poller, mut heard) = (0, true, [0; 2]);
        while came < tasks.len() {
            if worker.doze(false, false, in_poller) {
                while worker.mode.is_asleep() {
                    let way = usize::from(in_poller);
                    while rings[way].load(Relaxed) == heard[way] {
                        thread::yield_now();
                    }
                    heard[way] += 1;
                }
                worker.mode.awake();
            }
            came += worker.inbox.take().len();
            in_poller = !in_poller;
        }
        brings.join().unwrap();
        // SAFETY: the other thread has ended.
        unsafe {
            tasks.into_iter().for_each(|task| free(task));
            models::free(shared);
        }
    });
}
