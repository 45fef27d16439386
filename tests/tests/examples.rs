//! Points 5 and 7, and the whole tour, as a user sees them: the examples as programs of their own.

use greenlight_tests::{example, program};
use std::process::Output;

fn run(name: &str) -> (Output, String, String) {
    let output = program(example(name)).output().expect("the example runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

#[test]
fn a_deadlock_is_reported_with_a_line_per_task_and_exit_code_2() {
    let (output, _, err) = run("deadlock");
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("all green threads are asleep - deadlock!"), "{err}");
    let tasks: Vec<_> = err.lines().filter(|line| line.starts_with("green thread")).collect();
    assert_eq!(tasks.len(), 2, "{err}");
    assert!(tasks[0].contains("spawned at") && tasks[0].contains("deadlock.rs:"), "{err}");
    assert!(tasks[0].contains("waits to send on a channel 0x"), "{err}");
    assert!(tasks[1].contains("waits to receive from a channel 0x"), "{err}");
    // Where the program waits, not where the standard library's iterators do.
    assert!(tasks.iter().all(|task| task.matches("deadlock.rs:").count() == 2), "{err}");
}

#[test]
fn the_tour_shows_its_eight_points() {
    example("deadlock"); // the tour starts it
    let (output, out, err) = run("tour");
    assert!(output.status.success(), "{out}\n{err}");
    for point in [
        "1. go",
        "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]",
        "2. WaitGroup",
        "10 calls answered",
        "panic of that green thread: true",
        "3. Mutex",
        "lock around the whole call",
        "20 results",
        "4. RwLock",
        "2 writers brought the value to 2",
        "5. Compute",
        "52074 primes",
        "speed-up",
        "6. Channels",
        "took 5 values",
        "sends fail (true), what is in it comes out: [0, 1, 2, 3, 4]",
        "sum 24",
        "7. Deadlock",
        "all green threads are asleep - deadlock!",
        "exit code Some(2)",
        "8. select!",
        "default: nothing can happen now",
        "timeout: nothing happened for",
        "main returns",
    ] {
        assert!(out.contains(point), "no `{point}` in:\n{out}");
    }
    // A program whose main returns says nothing of the green threads that it leaves behind.
    assert!(!out.contains("never printed") && !err.contains("never printed"));
    assert!(err.contains("negative counter"), "the panic hook has reported the misuse: {err}");
}

#[test]
fn a_host_loop_runs_green_threads_between_its_events() {
    let (output, out, err) = run("host_loop");
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out, "hello, and the cursor has blinked 3 times\n", "{err}");
}
