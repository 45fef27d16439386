//! A green thread that overflows its stack ends the program with a message that names it, however large its frames are. Also
//! run with everything optimized as one (`.ci/zoo`).

use greenlight_tests::program;
use std::{hint::black_box, mem::MaybeUninit, os::unix::process::ExitStatusExt, process::Stdio};

const CHILD: &str = "GREENLIGHT_TEST_OVERFLOW";

/// Recursion without an end, with frames of so many words.
#[inline(never)]
fn recurse<const WORDS: usize>(depth: u64) -> u64 {
    let mut frame = MaybeUninit::<[u64; WORDS]>::uninit();
    black_box(&mut frame);
    match black_box(true) {
        true => recurse::<WORDS>(depth + 1) + black_box(&frame).as_ptr().addr() as u64,
        false => depth,
    }
}

/// One frame only, larger than the rest of the stack, at the end of a call that the optimizer may have inlined.
fn one_large_frame() -> u64 {
    let mut frame = [1_u64; 100_000];
    black_box(&mut frame);
    frame.iter().sum()
}

type Dive = (&'static str, fn() -> u64);

const DIVES: [Dive; 5] = [
    ("frames of 512 bytes", || recurse::<64>(0)),
    ("frames of 6 KiB", || recurse::<768>(0)),
    ("frames of 48 KiB, larger than the guard", || recurse::<6144>(0)),
    ("frames of 1 MiB, larger than the stack", || recurse::<131_072>(0)),
    ("one frame of 800 kB", one_large_frame),
];

#[test]
fn an_overflow_names_the_green_thread() {
    if let Ok(name) = std::env::var(CHILD) {
        let (_, dive) = DIVES.into_iter().find(|dive| dive.0 == name).expect("one of them");
        let deep = greenlight::task::Builder::new().name("a diver").spawn(dive);
        let _ = deep.join();
        return;
    }
    for (name, _) in DIVES {
        if cfg!(target_arch = "riscv64") && (name.contains("1 MiB") || name.contains("800 kB")) {
            continue; // Rust's compiler does not look after such frames there
        }
        overflows("an_overflow_names_the_green_thread", name, "256 KiB");
    }
}

/// The same in a stack that is smaller than others, and in one that is larger; the report says which.
#[test]
fn an_overflow_names_the_size() {
    if let Some(bytes) = std::env::var(CHILD).ok().and_then(|bytes| bytes.parse().ok()) {
        let deep = greenlight::task::Builder::new().name("a diver").stack_size(bytes).spawn(|| recurse::<64>(0));
        let _ = deep.join();
        return;
    }
    // Where guards or pages are large, the smallest stack is the usual one.
    let small = if cfg!(target_arch = "x86_64") { "64 KiB" } else { "" };
    overflows("an_overflow_names_the_size", "10000", small);
    overflows("an_overflow_names_the_size", "900000", "1024 KiB");
    overflows("an_overflow_names_the_size", "8000000", "8192 KiB");
}

/// Runs `test` as a child that is to overflow a stack of that size.
fn overflows(test: &str, child: &str, size: &str) {
    if cfg!(greenlight_asan) {
        return; // the sanitizer handles SIGSEGV in our place
    }
    let output = program(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, child)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{child}: {:?}\n{err}", output.status);
    assert!(err.contains(&format!("overflowed its stack of {size}")), "{child}: {err}");
    assert!(err.contains("\"a diver\""), "{child}: {err}");
    assert!(err.contains("spawned at") && err.contains("overflow.rs:"), "{child}: {err}");
    assert!(err.contains("help: "), "{child}: {err}");
}
