//! Programs in which everybody waits for everybody, and programs that only look like it.
//!
//! Each is a process of its own, once on one worker and once on all of them: this test starts itself again, with the program's
//! name in the environment. It has no test harness, whose threads would silence the detector.
//!
//! * found.rs: the process ends with Go's message, exit code 2 and a table, in which a line for each task says what it waits
//!   for, on which object, where it was started and where it waits.
//! * silent.rs: it takes longer than anybody looks for a deadlock, says nothing, and comes to its end.
//!
//! `cargo test --test deadlock_zoo -- NAME` runs those whose name contains it.

mod found;
mod silent;

use found::FOUND;
use greenlight::Runtime;
use greenlight_tests::program;
use silent::SILENT;
use std::{
    env,
    io::Write as _,
    process::{Output, Stdio},
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering::*},
    thread,
    time::Duration,
};

const NAME: &str = "GREENLIGHT_TEST_PROGRAM";
const WORKERS: &str = "GREENLIGHT_TEST_WORKERS";

/// Longer than the last look of a detector that sleeps twice as long each time: 10 ms, 20 ms … 640 ms.
const LATE: Duration = Duration::from_millis(1400);

/// Its name, what it does, and of which waits the report must tell; each is one more line.
type Found = (&'static str, fn(), &'static [&'static str]);
/// Its name, and what it does.
type Silent = (&'static str, fn());

fn main() {
    if let Ok(name) = env::var(NAME) {
        return run(&name);
    }
    assert!(FOUND.len() >= 40 && SILENT.len() >= 40);
    let wanted = env::args().nth(1).unwrap_or_default();
    let found = FOUND.iter().map(|(name, _, waits)| (*name, Some(*waits)));
    let silent = SILENT.iter().map(|(name, _)| (*name, None));
    let all: Vec<_> = found.chain(silent).filter(|(name, _)| name.contains(&wanted)).collect();
    // Most of them sleep most of the time.
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|s| {
        for _ in 0..24 {
            s.spawn(|| {
                while let Some((name, waits)) = all.get(next.fetch_add(1, Relaxed)) {
                    for workers in [Some("1"), None] {
                        let output = start(name, workers, waits.is_none());
                        let complaint = match waits {
                            Some(waits) => check_found(&output, waits),
                            None => check_silent(&output),
                        };
                        if let Err(complaint) = complaint {
                            let said = String::from_utf8_lossy(&output.stderr);
                            let workers = workers.unwrap_or("all");
                            failures.lock().unwrap().push(format!("{name}, {workers} workers: {complaint}\n{said}"));
                        }
                    }
                    println!("{name} ... done");
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    failures.iter().for_each(|failure| eprintln!("\n{failure}"));
    println!("{} passed, {} failed", 2 * all.len() - failures.len(), failures.len());
    assert!(failures.is_empty());
}

/// In the child.
fn run(name: &str) {
    let found = FOUND.iter().map(|(name, program, _)| (*name, *program));
    let (_, program) = found.chain(SILENT.iter().copied()).find(|(it, _)| *it == name).expect("a program of this name");
    let builder = match env::var(WORKERS) {
        Ok(workers) => Runtime::builder().workers(workers.parse().expect("a number")),
        Err(_) => Runtime::builder(),
    };
    builder.build().expect("the workers start").run(program);
}

/// In the parent: as a process, whose input is a line that comes late, if one comes.
fn start(name: &str, workers: Option<&str>, line: bool) -> Output {
    let mut child = program(env::current_exe().expect("a test knows its own executable"));
    child.env(NAME, name).env_remove(WORKERS).envs(workers.map(|workers| (WORKERS, workers)));
    child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    thread::scope(|s| {
        s.spawn(move || {
            if line {
                thread::sleep(LATE);
                let _ = input.write_all(b"late\n"); // it may have ended
            }
        });
        child.wait_with_output().expect("the program runs")
    })
}

fn check_found(output: &Output, waits: &[&str]) -> Result<(), String> {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(2) {
        return Err(format!("ends with {:?}", output.status));
    }
    if said.matches("fatal error: all green threads are asleep - deadlock!").count() != 1 {
        return Err("no message, or two".into());
    }
    let mut lines: Vec<_> = said.lines().filter(|line| line.contains(", spawned at ")).collect();
    for wait in waits {
        let line = lines.iter().position(|line| line.contains(&format!(": waits to {wait}")));
        let Some(line) = line.map(|index| lines.remove(index)) else {
            return Err(format!("no line, or not as many, for «waits to {wait}»"));
        };
        // Where it was spawned, and, unless it is a future that only wants to be woken, where it waits.
        let places = line.matches("deadlock_zoo/").count();
        if places != if *wait == "be woken" { 1 } else { 2 } {
            return Err(format!("{places} places in: {line}"));
        }
    }
    Ok(())
}

fn check_silent(output: &Output) -> Result<(), String> {
    if !output.status.success() {
        return Err(format!("ends with {:?}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("deadlock") { Err("an alarm".into()) } else { Ok(()) }
}
