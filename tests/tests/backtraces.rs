//! What a backtrace and a debugger see from inside a green thread: its own calls, its closure, the runtime's first steps,
//! and then the end.

use greenlight::{go, yield_now};
use std::backtrace::Backtrace;
use std::hint::black_box;
use std::process::{Command, Stdio};

const CHILD: &str = "GREENLIGHT_TEST_DEBUGGER";

/// Calls `inner` on a stack that was left and entered again.
#[inline(never)]
fn outer_call<T>(inner: fn() -> T) -> T {
    yield_now();
    black_box(inner())
}

/// Fails unless the functions of a backtrace, the innermost first, are those that `outer_call` was called with, and from.
#[track_caller]
fn assert_complete(functions: &[&str], text: &str) {
    let position = |name: &str| functions.iter().position(|function| function.contains(name));
    if cfg!(debug_assertions) {
        let [inner, outer, closure] = ["backtraces::inner", "backtraces::outer_call", "{closure#0}"].map(position);
        assert!(inner.is_some() && inner < outer && outer < closure, "{text}");
    }
    let last = functions.last().expect("a function");
    assert!(last.contains("greenlight::arch::") && last.contains("::base"), "{text}");
    assert!(position("greenlight::worker::first_steps").is_some(), "{text}");
    assert_eq!(position("libtest"), None, "walked out of its stack:\n{text}");
    assert_eq!(position("greenlight::worker::Worker::main"), None, "walked out of its stack:\n{text}");
}

#[test]
fn a_backtrace_names_the_closure_and_ends() {
    #[inline(never)]
    fn inner() -> String {
        Backtrace::force_capture().to_string()
    }
    let text = go(|| outer_call(inner)).join().unwrap();
    let text =
        text.replace("a_backtrace_names_the_closure_and_ends::inner", "inner").replace("{{closure}}", "{closure#0}");
    // Each frame is a line with its number, its name, and perhaps one more with its place.
    let numbered = |line: &&str| line.trim_start().starts_with(|first: char| first.is_ascii_digit());
    let functions: Vec<_> =
        text.lines().filter(numbered).filter_map(|line| line.split_once(": ")).map(|(_, name)| name).collect();
    assert_complete(&functions, &text);
}

/// Where the debugger stops.
#[unsafe(export_name = "backtraces::inner")]
#[inline(never)]
extern "C" fn inner() {
    black_box(());
}

#[test]
#[ignore = "needs gdb"]
fn a_debugger_names_the_closure_and_ends() {
    fn call_inner() {
        inner();
    }
    if std::env::var_os(CHILD).is_some() {
        go(|| outer_call(call_inner)).join().unwrap();
        return;
    }
    let output = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "break backtraces::inner", "-ex", "run", "-ex", "backtrace", "-ex", "kill"])
        .arg("--args")
        .arg(std::env::current_exe().unwrap())
        .args(["a_debugger_names_the_closure_and_ends", "--exact", "--ignored"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .expect("gdb runs");
    let text = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
    let functions: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_complete(&functions, &text);
    for complaint in ["Backtrace stopped", "corrupt stack", "Cannot access memory", "??"] {
        assert!(!text.contains(complaint), "{text}");
    }
}
