//! How much of its stack a green thread has used, and what becomes of the memory afterwards.

use greenlight::{Runtime, channel::bounded, go, stack_used};
use std::hint::black_box;

/// Touches so many bytes of stack, and a little more.
#[inline(never)]
fn deep<const BYTES: usize>() {
    let mut frame = [1_u8; BYTES];
    black_box(&mut frame);
}

#[test]
#[cfg(not(greenlight_asan))] // the sanitizer keeps frames elsewhere
fn stack_used_grows_with_depth_and_stays() {
    let seen = go(|| {
        deep::<10_000>();
        let shallow = stack_used().unwrap();
        deep::<100_000>();
        let after = stack_used().unwrap();
        deep::<10_000>();
        [shallow, after, stack_used().unwrap()]
    });
    let [shallow, after, still] = seen.join().unwrap();
    assert!(shallow >= 10_000, "{shallow}");
    assert!((100_000..256 * 1024).contains(&after), "{after}");
    assert_eq!(after, still);
}

#[test]
fn stack_used_is_for_green_threads() {
    assert_eq!(stack_used(), None);
    assert_eq!(std::thread::spawn(stack_used).join().unwrap(), None);
}

/// Memory of the process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Three hundred stacks of 150 kB, all at once; when their runtime is idle, most of that goes back. Otherwise this test
/// does not end.
#[test]
fn idle_stacks_are_given_back() {
    const TASKS: usize = 300;
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (start, started) = bounded::<()>(0);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let started = started.clone();
            runtime.go(move || {
                deep::<150_000>();
                let _ = started.recv();
            })
        })
        .collect();
    runtime.run(|| ());
    let before = resident();
    drop(start);
    tasks.into_iter().for_each(|task| task.join().unwrap());
    while resident() + TASKS * 100 > before {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
