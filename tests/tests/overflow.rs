//! A green thread that overflows its stack ends the program with a message that names it.

use greenlight_tests::program;
use std::process::Stdio;

const CHILD: &str = "GREENLIGHT_TEST_OVERFLOW";

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[(depth % 64) as usize] }
}

#[test]
fn an_overflow_names_the_green_thread() {
    if std::env::var_os(CHILD).is_some() {
        let deep = greenlight::task::Builder::new().name("a diver").spawn(|| recurse(0));
        let _ = deep.join();
        return;
    }
    overflows("an_overflow_names_the_green_thread", "1", "256 KiB");
}

/// The same in a stack that is smaller than others, and in one that is larger; the report says which.
#[test]
fn an_overflow_names_the_size() {
    if let Some(bytes) = std::env::var(CHILD).ok().and_then(|bytes| bytes.parse().ok()) {
        let deep = greenlight::task::Builder::new().name("a diver").stack_size(bytes).spawn(|| recurse(0));
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
    assert!(!output.status.success());
    assert!(err.contains(&format!("overflowed its stack of {size}")), "{err}");
    assert!(err.contains("\"a diver\""), "{err}");
    assert!(err.contains("spawned at") && err.contains("overflow.rs:"), "{err}");
}
