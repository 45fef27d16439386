//! How late a ticker is while other tasks keep all workers: the `hog` and `blocking` programs.
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin lateness [-- SECONDS]
//!
//!   hog        two tasks that compute, on two workers, and call nothing
//!   hog, calls the same, but each step is a send and a receive on a channel that is ready
//!   blocking   64 tasks, each in one std::thread::sleep of 50 ms after the other
//!   ticker     sleeps until the next millisecond, and notes how late it wakes
//! ```
//!
//! A cell shows the median, the 99th percentile and the greatest lateness, and the number of ticks of those that were due. A tick that
//! comes late takes the place of those that were due meanwhile. The last ticks of one that never ran are noted when the others
//! have ended.
//!
//! tokio's hogs and sleepers are tasks, too: that one should not write them so is known, and what this is about.

use greenlight::{
    Runtime,
    channel::bounded,
    sleep,
    time::{Instant as OurInstant, sleep_until_async},
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(1);
const WORKERS: usize = 2;

#[derive(Clone, Copy)]
enum Others {
    Hog,
    HogThatCalls,
    Blocking,
}

impl Others {
    fn count(self) -> usize {
        if matches!(self, Self::Blocking) { 64 } else { 2 }
    }

    /// One of them, until it is over.
    fn run(self, over: &AtomicBool) {
        let (tx, rx) = bounded(1);
        let mut x = 1_u64;
        while !over.load(Relaxed) {
            match self {
                Self::Hog => x = std::hint::black_box(x).wrapping_mul(3),
                Self::HogThatCalls => {
                    tx.send(x).expect("there is a receiver");
                    x = rx.recv().expect("there is a value") + 1;
                }
                Self::Blocking => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

/// The ticker's notes.
struct Notes {
    due: Instant,
    late: Vec<Duration>,
    over: Arc<AtomicBool>,
}

impl Notes {
    fn new(over: &Arc<AtomicBool>) -> Self {
        Self { due: Instant::now() + TICK, late: Vec::new(), over: over.clone() }
    }

    /// After a sleep: when to wake next. None when it is over.
    fn note(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.late.push(now.saturating_duration_since(self.due));
        while self.due <= now {
            self.due += TICK;
        }
        (!self.over.load(Relaxed)).then_some(self.due)
    }

    fn left(due: Instant) -> Duration {
        due.saturating_duration_since(Instant::now())
    }
}

#[derive(Clone, Copy)]
enum Ticker {
    Green,
    Roaming,
    Stackless,
}

fn ours(others: Others, ticker: Ticker, time: Duration) -> Vec<Duration> {
    let runtime = Runtime::builder().workers(WORKERS).build().expect("a runtime");
    let over = Arc::new(AtomicBool::new(false));
    let mut notes = Notes::new(&over);
    let green = |mut notes: Notes| {
        while let Some(due) = notes.note() {
            sleep(Notes::left(due));
        }
        notes.late
    };
    let ticks = match ticker {
        Ticker::Green => runtime.go(move || green(notes)),
        Ticker::Roaming => {
            // SAFETY: it uses nothing that belongs to a thread.
            let builder = unsafe { greenlight::task::Builder::new().roaming() };
            runtime.run(move || builder.spawn(move || green(notes)))
        }
        Ticker::Stackless => runtime.go_async(async move {
            while let Some(due) = notes.note() {
                sleep_until_async(OurInstant::now() + Notes::left(due)).await;
            }
            notes.late
        }),
    };
    thread::sleep(10 * TICK);
    let tasks: Vec<_> = (0..others.count())
        .map(|_| {
            let over = over.clone();
            runtime.go(move || others.run(&over))
        })
        .collect();
    thread::sleep(time);
    over.store(true, Relaxed);
    tasks.into_iter().for_each(|task| task.join().expect("it ends"));
    ticks.join().expect("it ends")
}

fn tokio_s(others: Others, time: Duration) -> Vec<Duration> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(WORKERS).enable_time().build().expect("a runtime");
    let over = Arc::new(AtomicBool::new(false));
    let mut notes = Notes::new(&over);
    let ticks = runtime.spawn(async move {
        while let Some(due) = notes.note() {
            tokio::time::sleep(Notes::left(due)).await;
        }
        notes.late
    });
    thread::sleep(10 * TICK);
    let run = |over: Arc<AtomicBool>| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        match others {
            // As tokio's programs do: its channel, which asks for a turn of the others now and then.
            Others::HogThatCalls => Box::pin(async move {
                let (tx, mut rx) = tokio::sync::mpsc::channel(1);
                while !over.load(Relaxed) {
                    tx.send(1).await.expect("there is a receiver");
                    rx.recv().await.expect("there is a value");
                }
            }),
            _ => Box::pin(async move { others.run(&over) }),
        }
    };
    let tasks: Vec<_> = (0..others.count()).map(|_| runtime.spawn(run(over.clone()))).collect();
    thread::sleep(time);
    over.store(true, Relaxed);
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("it ends");
        }
        ticks.await.expect("it ends")
    })
}

fn cell(mut late: Vec<Duration>, time: Duration) -> String {
    late.sort_unstable();
    let at = |percent: usize| late[(late.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let due = time.as_millis() + 10;
    format!("{:.2} / {:.2} / {:.2} ms, {} of {due}", at(50), at(99), at(100), late.len())
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(2, |seconds| seconds.parse().expect("a number of seconds"));
    let time = Duration::from_secs(seconds);
    println!("lateness of a 1 ms ticker: median / 99 % / greatest, ticks; {WORKERS} workers, {seconds} s\n");
    println!("| others | green thread | roaming | stackless | tokio |");
    println!("|---|---|---|---|---|");
    let rows = [("hog", Others::Hog), ("hog, calls", Others::HogThatCalls), ("blocking", Others::Blocking)];
    for (name, others) in rows {
        let ours =
            [Ticker::Green, Ticker::Roaming, Ticker::Stackless].map(|ticker| cell(ours(others, ticker, time), time));
        println!("| {name} | {} | {} |", ours.join(" | "), cell(tokio_s(others, time), time));
    }
}
