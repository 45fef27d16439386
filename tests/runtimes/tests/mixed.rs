//! Green threads join in. Their park hooks hold for this whole process: the waits of the foreign runtimes' threads go
//! through them, too.

use greenlight_runtime_tests::{All, Call, Host, Task, every_workload, hosts::wait_for};

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
