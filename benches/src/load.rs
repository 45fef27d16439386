//! What others do on this machine while a program runs: the CPU time of all processes, less that of ours.
//!
//! The kernel counts in steps of 10 ms, and time that a hypervisor gives to another machine is somebody's work, too.

use crate::process;
use std::{
    fs,
    time::{Duration, Instant},
};

/// The kernel's unit of CPU time in `/proc/stat`, whatever its clock is.
const TICK: Duration = Duration::from_millis(10);

/// A moment, by what everybody has computed up to then.
pub struct Moment {
    time: Instant,
    all: Duration,
    children: Duration,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { time: Instant::now(), all: all(), children: process::children_cpu_time() + process::cpu_time() }
    }

    /// How many CPUs others have kept busy since then, and whether that counts as a disturbance.
    pub fn others(&self) -> Others {
        let now = Self::now();
        let wall = now.time - self.time;
        let others = (now.all - self.all).saturating_sub(now.children - self.children);
        Others { cpus: others.as_secs_f64() / wall.as_secs_f64(), disturb: others > wall / 10 + 2 * TICK }
    }
}

/// What others have done meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Others {
    /// How many CPUs they have kept busy, on average.
    pub cpus: f64,
    /// More than a tenth of a CPU, and more than the kernel's counting may miss.
    pub disturb: bool,
}

/// Waits for a quiet tenth of a second, but no longer than this.
pub fn wait_for_quiet(limit: Duration) {
    let start = Instant::now();
    while start.elapsed() < limit {
        let moment = Moment::now();
        std::thread::sleep(Duration::from_millis(100));
        if !moment.others().disturb {
            return;
        }
    }
}

/// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`, where a guest's time is also its user's.
fn all() -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let line = stat.lines().next().expect("a first line");
    let ticks: Vec<u32> = line.split_whitespace().skip(1).filter_map(|number| number.parse().ok()).collect();
    [0, 1, 2, 5, 6, 7].iter().filter_map(|column| ticks.get(*column)).map(|ticks| TICK * *ticks).sum()
}
