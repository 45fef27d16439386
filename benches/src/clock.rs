//! The clock of the measurements: the time that passes, or the time that this process has spent on its CPUs.
//!
//! On a machine that others keep busy the first says how long we had to wait for a CPU. The second does not; but it does not
//! say either how long a sleeper slept. It also counts both sides at once: two threads at work for 1 ns have spent 2.

use crate::process;
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

static CPU_TIME: AtomicBool = AtomicBool::new(false);

/// From now on, CPU time.
pub(crate) fn count_cpu_time() {
    CPU_TIME.store(true, Relaxed);
}

/// What the clock is called.
pub(crate) fn name() -> &'static str {
    if CPU_TIME.load(Relaxed) { "ns of CPU time" } else { "ns" }
}

/// The time on it; only differences mean something.
pub fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    if !CPU_TIME.load(Relaxed) {
        return START.elapsed();
    }
    process::cpu_time()
}
