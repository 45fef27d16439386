//! Deadlocks that Go's tests look for (golang/go, `src/runtime/crash_test.go` and `testdata/testprog/deadlock.go`), and
//! programs that only look like one. Each runs as a process of its own, on one worker and on all: this test starts
//! itself again, with the program's name in the environment. It has no test harness, whose threads would silence the
//! detector.
//!
//! | Go's program                 | here                                                                   |
//! |------------------------------|------------------------------------------------------------------------|
//! | SimpleDeadlock               | `select_of_nothing`                                                    |
//! | InitDeadlock                 | left out: there is no code before `main`                               |
//! | LockedDeadlock               | `os_thread` is the nearest: green threads are not locked to OS threads |
//! | LockedDeadlock2              | as the one before                                                      |
//! | GoexitDeadlock               | left out, with its like: `main` cannot end before it returns           |
//! | select3, what waits for ever | `receive`, `send`, `select_…`                                          |

use greenlight::{
    Mutex, Runtime, WaitGroup, block_on, blocking,
    channel::{after, bounded, never},
    context::Context,
    go,
    net::Pollable,
    select, sleep,
    task::Builder,
    time::{Timer, after_func},
};
use greenlight_tests::{nowhere, program as program_at};
use std::{
    env,
    future::{Future, pending, poll_fn},
    io::Write,
    process,
    task::Poll,
    thread,
    time::Duration,
};

/// Its name, what it does, and what the report says that its first green thread waits for; None for a program that is
/// alive, and comes to its end.
type Program = (&'static str, fn(), Option<&'static str>);

const PROGRAMS: [Program; 28] = [
    ("receive", || drop(never::<String>().recv()), Some("receive from a channel 0x")),
    ("send", || nowhere().send(7).unwrap(), Some("send on a channel 0x")),
    ("send_to_full", send_to_full, Some("send on a channel 0x")),
    ("select_of_nothing", || select! {}, Some("select")),
    ("select_of_never", || select! { recv(never::<i32>()) -> _ => {}, send(nowhere(), 7) -> _ => {} }, Some("select")),
    ("select_meets_itself", select_meets_itself, Some("select")),
    ("in_a_ring", in_a_ring, Some("receive from a channel 0x")),
    ("wait_group", wait_group, Some("")),
    ("lock_twice", lock_twice, Some("")),
    ("os_thread", os_thread, Some("receive from a channel 0x")),
    ("dropped_runtime", dropped_runtime, Some("receive from a channel 0x")),
    ("named", named, Some("join a green thread at")),
    ("select_with_a_timeout", select_with_a_timeout, None),
    ("asleep_for_a_while", asleep_for_a_while, None),
    ("alarms_that_are_over", alarms_that_are_over, Some("receive from a channel 0x")),
    ("a_stopped_timer", a_stopped_timer, Some("wait for a timer 0x")),
    ("a_context_that_nobody_ends", a_context_that_nobody_ends, Some("wait for the end of a context 0x")),
    ("a_call_to_come", a_call_to_come, None),
    ("a_deadline_to_come", a_deadline_to_come, None),
    ("a_future_of_the_clock", a_future_of_the_clock, None),
    ("a_dropped_future_of_the_clock", a_dropped_future_of_the_clock, Some("receive from a channel 0x")),
    ("after_a_blocking_call", after_a_blocking_call, Some("receive from a channel 0x")),
    ("after_a_blocking_call_that_nobody_waits_for", after_a_long_blocking_call, Some("receive from a channel 0x")),
    ("a_blocking_call_that_wakes", a_blocking_call_that_wakes, None),
    ("helpers_come_and_go", helpers_come_and_go, None),
    ("a_socket_that_nobody_waits_on", a_socket_that_nobody_waits_on, Some("receive from a channel 0x")),
    ("another_process_writes", another_process_writes, None),
    ("another_process_writes_to_a_future", another_process_writes_to_a_future, None),
];

/// It is registered, and even has an event.
fn a_socket_that_nobody_waits_on() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let reader = Pollable::new(reader).unwrap();
    reader.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    reader.wait_readable().unwrap_err();
    writer.write_all(b"x").unwrap();
    let _ = never::<i32>().recv();
}

/// Longer than anybody looks for a deadlock, after a short word that wakes the worker by itself.
fn from_another_process() -> Pollable<process::ChildStdout> {
    let words = "sleep 0.3; echo one; sleep 1.5; echo two";
    #[allow(clippy::zombie_processes)] // we end soon after it
    let child = process::Command::new("sh").args(["-c", words]).stdout(process::Stdio::piped()).spawn().unwrap();
    Pollable::new(child.stdout.unwrap()).unwrap()
}

fn another_process_writes() {
    let output = from_another_process();
    let mut buffer = [0; 16];
    for word in [b"one\n", b"two\n"] {
        let len = output.read_with(|io| Ok(rustix::io::read(io, &mut buffer)?)).unwrap();
        assert_eq!(&buffer[..len], word);
    }
}

fn another_process_writes_to_a_future() {
    let output = from_another_process();
    block_on(async {
        for word in [b"one\n", b"two\n"] {
            let mut buffer = [0; 16];
            let len = output.read_with_async(|io| Ok(rustix::io::read(io, &mut buffer)?)).await.unwrap();
            assert_eq!(&buffer[..len], word);
        }
    });
}

/// Longer than anybody looks for a deadlock.
fn a_future_of_the_clock() {
    block_on(after(Duration::from_millis(1500)).recv_async()).unwrap();
}

fn a_dropped_future_of_the_clock() {
    let rx = after(Duration::from_secs(3600));
    let mut receiving = Box::pin(rx.recv_async());
    block_on(poll_fn(|asked| {
        assert!(receiving.as_mut().poll(asked).is_pending());
        Poll::Ready(())
    }));
    drop(receiving);
    let _ = never::<i32>().recv();
}

/// Most of the time nobody is awake, and the next to act is a timer, a context, or the thread of a blocking call, which ends
/// soon after.
fn helpers_come_and_go() {
    blocking::global().set_keep_alive(Duration::ZERO); // as short as can be
    for round in 0..40 {
        let pause = Duration::from_millis(round * 7 % 31);
        let (tx, rx) = bounded(0);
        let called = tx.clone();
        after_func(pause, move || called.send(1).unwrap()).detach();
        let (ctx, _cancel) = Context::background().with_timeout(pause);
        go(move || {
            ctx.wait();
            drop(blocking(move || {
                thread::sleep(pause);
                tx.send(2).unwrap();
            }));
        });
        // Set and taken back, so that the timer thread sleeps for nothing at times.
        drop(after_func(Duration::from_secs(3600), || unreachable!()));
        assert_eq!(rx.iter().sum::<i32>(), 3);
    }
}

/// The thread of the call is still there, and idle.
fn after_a_blocking_call() {
    assert_eq!(blocking(|| 7).join().unwrap(), 7);
    let _ = never::<i32>().recv();
}

/// Everybody else has stopped looking by then.
fn after_a_long_blocking_call() {
    drop(blocking(|| thread::sleep(Duration::from_millis(2000))));
    let _ = never::<i32>().recv();
}

fn a_blocking_call_that_wakes() {
    let (tx, rx) = bounded(0);
    let call = blocking(move || {
        thread::sleep(Duration::from_millis(1500));
        tx.send("awake").unwrap();
    });
    assert_eq!(rx.recv(), Ok("awake"));
    call.join().unwrap();
}

/// The timer thread is there, and sleeps for one that was taken back long before its time; another one has gone off.
fn alarms_that_are_over() {
    let late = after_func(Duration::from_secs(3600), || unreachable!());
    let (tx, rx) = bounded(0);
    after_func(Duration::from_millis(1), move || tx.send(1).unwrap()).detach();
    assert_eq!(rx.recv(), Ok(1));
    sleep(Duration::from_millis(50));
    assert!(late.stop());
    let _ = never::<i32>().recv();
}

fn a_stopped_timer() {
    let timer = Timer::new(Duration::from_secs(3600));
    timer.stop();
    timer.wait();
}

fn a_context_that_nobody_ends() {
    let (ctx, _cancel) = Context::background().with_cancel();
    let (child, cancel) = ctx.with_timeout(Duration::from_secs(3600));
    cancel.cancel();
    child.wait();
    ctx.wait();
}

/// Nobody sleeps for it, but it will come.
fn a_call_to_come() {
    let (tx, rx) = bounded(0);
    after_func(Duration::from_millis(1500), move || tx.send("called").unwrap()).detach();
    assert_eq!(rx.recv(), Ok("called"));
}

fn a_deadline_to_come() {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(100));
    ctx.wait();
}

fn send_to_full() {
    let (tx, _rx) = bounded(2);
    (0..3).for_each(|i| tx.send(i).unwrap());
}

fn select_meets_itself() {
    let (tx, rx) = bounded(0);
    select! {
        send(tx, 1) -> _ => unreachable!(),
        recv(rx) -> _ => unreachable!(),
    }
}

/// Each waits for the one before it.
fn in_a_ring() {
    let (first_tx, first) = bounded::<i32>(0);
    let mut last = first.clone();
    for _ in 0..3 {
        let (tx, rx) = bounded(0);
        let before = std::mem::replace(&mut last, rx);
        go(move || tx.send(before.recv().unwrap()));
    }
    first_tx.send(last.recv().unwrap()).unwrap();
}

fn wait_group() {
    let group = WaitGroup::new();
    group.add(2);
    let one = group.clone();
    go(move || one.done());
    group.wait();
}

fn lock_twice() {
    let lock = Mutex::new(());
    let _first = lock.lock();
    let _second = lock.lock();
}

/// An OS thread that waits in a call of ours is no more able to wake anybody than a green thread.
fn os_thread() {
    let ((tx, rx), (back_tx, back)) = (bounded::<i32>(0), bounded::<i32>(0));
    thread::spawn(move || rx.iter().for_each(|value| back_tx.send(value).unwrap()));
    let _ = back.recv();
    drop(tx);
}

/// The workers of a runtime that was dropped may end after everybody else has fallen asleep.
fn dropped_runtime() {
    let (tx, rx) = bounded::<i32>(0);
    thread::spawn(move || {
        drop(Runtime::builder().workers(2).build());
        rx.recv()
    });
    let _ = never::<i32>().recv();
    drop(tx);
}

fn select_with_a_timeout() {
    select! {
        recv(never::<i32>()) -> _ => unreachable!(),
        default(Duration::from_millis(100)) => {}
    }
}

/// All wait for one that sleeps longer than the detector's first looks.
fn asleep_for_a_while() {
    let (tx, rx) = bounded(0);
    go(move || {
        sleep(Duration::from_millis(100));
        tx.send("awake").unwrap();
    });
    assert_eq!(rx.recv(), Ok("awake"));
}

/// Tasks with names, as a green thread, as a future, and as a future in a blocking call.
fn named() {
    let consumer = Builder::new().name("a consumer").spawn(|| never::<i32>().recv());
    let _kept = Builder::new().name("a future").spawn_async(pending::<()>());
    Builder::new().name("a blocking future").spawn_async(async { never::<i32>().recv() });
    let _ = consumer.join();
}

const NAME: &str = "GREENLIGHT_TEST_PROGRAM";
const WORKERS: &str = "GREENLIGHT_TEST_WORKERS";

fn main() {
    match env::var(NAME) {
        Ok(name) => run(&name),
        Err(_) => PROGRAMS.into_iter().for_each(check),
    }
    println!("{} passed, 0 failed", PROGRAMS.len());
}

/// In the child.
fn run(name: &str) {
    let (_, program, _) = PROGRAMS.into_iter().find(|program| program.0 == name).expect("a program of this name");
    let builder = match env::var(WORKERS) {
        Ok(workers) => Runtime::builder().workers(workers.parse().expect("a number")),
        Err(_) => Runtime::builder(),
    };
    builder.build().expect("the workers start").run(program);
}

/// In the parent.
fn check((name, _, expected): Program) {
    for workers in [Some("1"), None] {
        let mut child = program_at(env::current_exe().expect("a test knows its own executable"));
        child.env(NAME, name).env_remove(WORKERS).envs(workers.map(|workers| (WORKERS, workers)));
        let output = child.output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let Some(waits_to) = expected else {
            assert!(output.status.success(), "{name}, workers {workers:?}: {said}");
            continue;
        };
        assert_eq!(output.status.code(), Some(2), "{name}, workers {workers:?}: {said}");
        assert!(said.contains("all green threads are asleep - deadlock!"), "{name}: {said}");
        let first = said.lines().find(|line| line.starts_with("green thread")).expect("a line for a green thread");
        assert!(first.contains(&format!("waits to {waits_to}")), "{name}: {said}");
        let others = [
            r#" "a consumer", spawned at tests/tests/go_deadlocks.rs:"#,
            r#" "a future", spawned at tests/tests/go_deadlocks.rs:"#,
            r#" "a blocking future", spawned at tests/tests/go_deadlocks.rs:"#,
        ];
        for other in others.into_iter().filter(|_| name == "named") {
            assert!(said.lines().filter(|line| line.contains(other)).count() == 1, "{other}: {said}");
        }
        assert!(
            first.matches("go_deadlocks.rs:").count() == 2,
            "{name}: where it was spawned, and where it waits: {said}"
        );
    }
    println!("{name} ... ok");
}
