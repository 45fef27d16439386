//! What the kernel tells a process of itself: memory and CPU time.

use std::{fs, io, mem, thread, time::Duration};

/// The memory in use, in bytes.
pub fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the resident pages");
    // SAFETY: a question without arguments.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}

/// The CPU time, user's and system's, of this process: of all its threads.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that every Linux has, and a place for its answer.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "clock_gettime: {}", io::Error::last_os_error());
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time of this process's children that have ended, and of theirs.
pub fn children_cpu_time() -> Duration {
    // SAFETY: a struct of numbers, all of which may be zero.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is the place for the answer.
    let status = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    assert_eq!(status, 0, "getrusage: {}", io::Error::last_os_error());
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Lets this thread, and all that it starts, run on the first `cpus` of its CPUs only.
pub fn confine(cpus: usize) {
    if cpus >= thread::available_parallelism().map_or(1, usize::from) {
        return;
    }
    // SAFETY: sets of CPUs are bits; each call gets the size of the one it is given.
    let status = unsafe {
        let (mut all, mut few): (libc::cpu_set_t, libc::cpu_set_t) = mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        assert_eq!(libc::sched_getaffinity(0, size, &raw mut all), 0, "sched_getaffinity");
        let ours = (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &all));
        ours.take(cpus).for_each(|cpu| libc::CPU_SET(cpu, &mut few));
        libc::sched_setaffinity(0, size, &raw const few)
    };
    assert_eq!(status, 0, "sched_setaffinity: {}", io::Error::last_os_error());
}

/// Blocks the OS thread, by the plain system call.
pub fn nanosleep(time: Duration) {
    let mut left = libc::timespec { tv_sec: time.as_secs() as libc::time_t, tv_nsec: time.subsec_nanos().into() };
    // SAFETY: the time to sleep, and where the rest goes if a signal cuts in: the same place.
    while unsafe { libc::nanosleep(&raw const left, &raw mut left) } != 0 {}
}
