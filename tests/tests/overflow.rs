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
    if cfg!(greenlight_asan) {
        return; // the sanitizer handles SIGSEGV in our place
    }
    let output = program(std::env::current_exe().unwrap())
        .args(["an_overflow_names_the_green_thread", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(err.contains("overflowed its stack of 256 KiB"), "{err}");
    assert!(err.contains("\"a diver\""), "{err}");
    assert!(err.contains("spawned at") && err.contains("overflow.rs:"), "{err}");
}
