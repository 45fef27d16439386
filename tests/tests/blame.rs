//! A task that keeps its worker from the others is named: once, with its spawn site, and not too often. In a process of its own, since
//! a logger is for the whole process.

use greenlight::{go, go_async, task::Builder};
use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::field::{Field, Visit};

static LOGGED: Mutex<Vec<(Instant, String)>> = Mutex::new(Vec::new());
static TRACED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        assert_eq!((record.level(), record.target()), (log::Level::Warn, "greenlight"));
        LOGGED.lock().unwrap().push((Instant::now(), record.args().to_string()));
    }

    fn flush(&self) {}
}

struct Subscriber;

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "greenlight"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        unreachable!("an event has no span")
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                write!(self.0, "{field}={value:?};").unwrap();
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        TRACED.lock().unwrap().push(text.0);
    }
}

/// The line that has all these parts, once it is there; with when it came.
fn line(parts: &[&str]) -> (Instant, String) {
    loop {
        let lines = LOGGED.lock().unwrap().clone();
        if let Some(line) = lines.into_iter().find(|(_, line)| parts.iter().all(|part| line.contains(part))) {
            return line;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_culprit_is_named_once() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    tracing::subscriber::set_global_default(Subscriber).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let until_over = |stick: fn()| {
        let over = over.clone();
        move || {
            while !over.load(Relaxed) {
                stick();
            }
        }
    };

    let hog = Builder::new().name("hog").spawn(until_over(std::hint::spin_loop));
    let (first, text) = line(&["\"hog\""]);
    assert!(
        text.starts_with(&format!("green thread {} \"hog\", spawned at tests/tests/blame.rs:", hog.id())),
        "{text}"
    );
    assert!(text.contains(" ms: it "), "{text}");

    let sleeps = until_over(|| thread::sleep(Duration::from_millis(50)));
    let future = go_async(async move { sleeps() });
    let (second, text) = line(&["it blocks the thread"]);
    assert!(text.starts_with(&format!("future {}, spawned at tests/tests/blame.rs:", future.id())), "{text}");
    assert!(second - first >= Duration::from_secs(4), "not one after the other: {:?}", second - first);

    // Both go on, and have been named. A third is, the only one.
    let nameless = go(until_over(std::hint::spin_loop));
    line(&[&format!("green thread {}, spawned at ", nameless.id())]);
    assert_eq!(LOGGED.lock().unwrap().len(), 3, "{:?}", LOGGED.lock().unwrap());

    while TRACED.lock().unwrap().len() < 3 {
        thread::sleep(Duration::from_millis(5)); // behind the log line of each
    }
    let traced = TRACED.lock().unwrap().clone();
    assert!(traced[0].contains("hog") && traced[0].contains("milliseconds="), "{traced:?}");
    over.store(true, Relaxed);
    hog.join().unwrap();
    future.join().unwrap();
    nameless.join().unwrap();
}
