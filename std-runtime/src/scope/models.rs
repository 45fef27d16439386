//! The children of a scope against its wait, and against a cancel.

use super::*;
use crate::header::models::{free, task};
use loom::thread;

fn members() -> Arc<Members> {
    Arc::new(Members { cancel_on_panic: false, state: Mutex::new(State::default()) })
}

/// Two leave while the scope waits: it is woken, and goes on after both. Fails if `leave` wakes nobody,
/// or counts down before it has taken the task out of the list: the task may be gone by then.
#[test]
fn scope_waits_for_the_last_child() {
    loom::model(|| {
        let members = members();
        let tasks = [task(), task()];
        tasks.iter().for_each(|task| members.enter(*task));
        let threads = tasks.map(|task| {
            let members = members.clone();
            thread::spawn(move || {
                members.leave(task, false);
            })
        });
        assert!(!members.wait(Location::caller()));
        let state = members.lock();
        assert!(state.running == 0 && state.newest.is_none() && state.waker.is_none());
        drop(state);
        // SAFETY: all that `leave` does with the task is done by now, which is what this model is to show.
        tasks.into_iter().for_each(|task| unsafe { free(task) });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A cancel while one child enters and another leaves: whoever is a member, or becomes one, is asked to end. Fails if `enter` does
/// not look at the request, or looks at it outside of the lock.
#[test]
fn scope_cancels_those_who_come_and_go() {
    loom::model(|| {
        let members = members();
        let (first, second) = (task(), task());
        members.enter(first);
        let comes = {
            let members = members.clone();
            thread::spawn(move || members.enter(second))
        };
        let cancels = {
            let members = members.clone();
            thread::spawn(move || members.cancel())
        };
        members.leave(first, false);
        comes.join().unwrap();
        cancels.join().unwrap();
        assert!(second.get().is_cancelled());
        members.leave(second, false);
        // SAFETY: the other threads have ended.
        [first, second].into_iter().for_each(|task| unsafe { free(task) });
    });
}
