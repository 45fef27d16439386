//! Green threads join in. Their park hooks hold for this whole process: the waits of the foreign runtimes' threads go
//! through them, too.

use greenlight::park::{self, Why};
use greenlight_runtime_tests::{All, Call, Host, Task, every_workload};
use std::{
    mem::replace,
    panic::Location,
    task::{Context, Poll},
};

/// Waits for `task` on the seam itself, one poll a wait. In between the other green threads of this worker have their turn:
/// a future that wakes itself, so that others may go on, would keep them from it.
fn wait_for(mut task: Task) {
    let why = Why { what: "wait for a future", object: 0, site: Location::caller() };
    let mut done = false;
    while !done {
        let mut asked = false;
        let _ = park::wait(&why, None, &mut |waker| {
            if replace(&mut asked, true) {
                return Poll::Ready(()); // woken
            }
            task.as_mut().poll(&mut Context::from_waker(waker)).map(|()| done = true)
        });
        greenlight::yield_now();
    }
}

/// A green thread for each future, and for each call.
struct GreenThreads;

impl Host for GreenThreads {
    fn name(&self) -> String {
        "green threads".into()
    }

    fn spawn(&self, task: Task) {
        greenlight::go(|| wait_for(task));
    }

    fn block(&self, call: Call) {
        greenlight::go(call);
    }
}

every_workload! {
    green_threads: GreenThreads,
    all_at_once: All::with(vec![Box::new(GreenThreads), Box::new(GreenThreads)]),
}
