//! How much of its stack a green thread has used, and what becomes of the memory afterwards.

use greenlight::{Runtime, channel::bounded, go, scope, stack_used, task::Builder};
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

/// For those tests that take up memory by the megabyte.
static MEMORY: std::sync::Mutex<()> = std::sync::Mutex::new(());

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
    let _alone = MEMORY.lock();
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (start, started) = bounded::<()>(0);
    let (dive, dived) = bounded(TASKS);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (started, dive) = (started.clone(), dive.clone());
            runtime.go(move || {
                deep::<150_000>();
                dive.send(()).unwrap();
                let _ = started.recv();
            })
        })
        .collect();
    dived.iter().take(TASKS).for_each(drop);
    let before = resident();
    drop(start);
    tasks.into_iter().for_each(|task| task.join().unwrap());
    while resident() + TASKS * 100 > before {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Stacks of all sizes at once, used to what was asked for, again and again; a scope's children too.
#[test]
#[cfg(not(greenlight_asan))] // the sanitizer keeps frames elsewhere
fn stacks_of_all_sizes() {
    let _alone = MEMORY.lock();
    for _ in 0..20 {
        let small = Builder::new().stack_size(30_000).spawn(|| {
            deep::<20_000>();
            stack_used().unwrap()
        });
        let usual = go(deep::<150_000>);
        let large = Builder::new().stack_size(3_000_000).spawn(|| {
            deep::<2_900_000>();
            stack_used().unwrap()
        });
        let mut used = 0;
        scope(|s| {
            s.spawn_with(Builder::new().stack_size(20_000_000).name("deep"), || {
                deep::<19_000_000>();
                used = stack_used().unwrap();
            });
        });
        assert!((19_000_000..64 << 20).contains(&used), "{used}");
        assert!((20_000..256 << 10).contains(&small.join().unwrap()));
        usual.join().unwrap();
        assert!((2_900_000..8 << 20).contains(&large.join().unwrap()));
    }
}

#[test]
fn a_stack_that_is_too_large_is_refused() {
    let _alone = MEMORY.lock(); // the backtrace of its panic may take 50 MB of heap
    let dropped = std::sync::Arc::new(());
    let held = dropped.clone();
    let refused = Builder::new().stack_size(usize::MAX).try_spawn(move || drop(held));
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("bytes at most"), "{error}");
    assert_eq!(std::sync::Arc::strong_count(&dropped), 1);
    let panic = std::panic::catch_unwind(|| Builder::new().stack_size(usize::MAX).spawn(|| ()));
    assert!(panic.unwrap_err().downcast_ref::<String>().unwrap().starts_with("cannot start a green thread: "));
}
