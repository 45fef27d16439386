//! Futures and streams of the channels that the clock fills: `after`, `at`, `tick`. They are woken when their time comes, on any
//! executor, and leave nothing behind if they are dropped before.

use futures_executor::block_on;
use futures_util::{StreamExt, future::join};
use greenlight::{
    channel::{Receiver, after, at, bounded, never, tick},
    go, go_async, run, select,
};
use greenlight_tests::program;
use std::{
    env,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake},
    thread,
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);
const CHILD: &str = "GREENLIGHT_TIMER_FUTURES_CHILD";

/// What the channels of the clock do as futures and as streams.
async fn all_kinds() {
    let start = Instant::now();
    let due = after(SHORT).recv_async().await.unwrap();
    assert!(due >= start + SHORT && Instant::now() >= due);

    let soon = Instant::now() + SHORT;
    assert_eq!(at(soon).recv_async().await, Ok(soon));
    assert!(Instant::now() >= soon);

    let ticks = tick(SHORT);
    let start = Instant::now();
    let first = ticks.recv_async().await.unwrap();
    let others: Vec<_> = pin!(ticks.stream()).take(3).collect().await;
    let all: Vec<_> = [first].into_iter().chain(others).collect();
    assert!(all.is_sorted_by(|one, next| *next - *one >= SHORT), "{all:?}");
    assert!(start.elapsed() >= 3 * SHORT);

    let mut once = pin!(after(SHORT).into_stream());
    assert!(once.next().await.is_some());
}

/// On a thread of a foreign executor, in a program whose runtime has not started: nothing of it runs but the timers.
#[test]
fn without_a_runtime() {
    if env::var_os(CHILD).is_some() {
        block_on(all_kinds());
        return;
    }
    let mut child = program(env::current_exe().expect("a test knows its own executable"));
    let output = child.args(["without_a_runtime", "--exact", "--nocapture"]).env(CHILD, "1").output().expect("it runs");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn beside_a_runtime() {
    go(|| ()).join().unwrap();
    block_on(all_kinds());
}

#[test]
fn on_a_green_thread_and_on_an_os_thread() {
    greenlight::block_on(all_kinds());
    run(|| greenlight::block_on(all_kinds()));
}

#[test]
fn as_tasks_by_the_hundred() {
    let start = Instant::now();
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            go_async(async move {
                let limit = Duration::from_micros(i * 97 % 20_000);
                after(limit).recv_async().await.unwrap();
                assert!(start.elapsed() >= limit);
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

/// What an arm of a select waits for.
fn arms() {
    let silence = never::<u32>();
    let start = Instant::now();
    let rx = after(SHORT);
    select! {
        recv(silence) -> _ => unreachable!(),
        wait(rx.recv_async()) -> due => assert!(due.unwrap() >= start + SHORT),
    }
    let ticks = tick(SHORT);
    let mut stream = pin!(ticks.stream());
    for _ in 0..3 {
        select! {
            recv(silence) -> _ => unreachable!(),
            wait(stream.next()) -> due => assert!(due.is_some()),
        }
    }
    assert!(start.elapsed() >= 3 * SHORT);
    // The one that is not chosen goes with the select.
    let (tx, rx) = bounded(1);
    let sender = go(move || tx.send(7).unwrap());
    let late = after(LONG);
    select! {
        recv(rx) -> value => assert_eq!(value, Ok(7)),
        wait(late.recv_async()) -> _ => unreachable!(),
    }
    sender.join().unwrap();
}

#[test]
fn as_arms_of_a_select() {
    arms();
    run(arms);
}

struct Waits(thread::Thread);

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn poll<F: Future>(future: Pin<&mut F>, by: &Arc<Waits>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&by.clone().into()))
}

/// Whoever has an alarm keeps a waker: none is kept.
#[test]
fn one_that_is_dropped_leaves_no_alarm() {
    let waits = Arc::new(Waits(thread::current()));
    for rx in [after(LONG), at(Instant::now() + LONG), tick(LONG)] {
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll(receiving.as_mut(), &waits).is_pending());
        assert_eq!(Arc::strong_count(&waits), 1 + 3, "in the channel's line, in the driver, and to compare with");
        drop(receiving);
        assert_eq!(Arc::strong_count(&waits), 1);

        let mut stream = Box::pin(rx.stream());
        assert!(poll(pin!(stream.next()), &waits).is_pending());
        assert_eq!(Arc::strong_count(&waits), 1 + 3);
        drop(stream);
        assert_eq!(Arc::strong_count(&waits), 1);
    }
}

#[test]
fn the_last_waker_is_woken() {
    let (first, second) = (Arc::new(Waits(thread::current())), Arc::new(Waits(thread::current())));
    let rx = after(SHORT);
    let mut receiving = pin!(rx.recv_async());
    assert!(poll(receiving.as_mut(), &first).is_pending());
    let mut polled = poll(receiving.as_mut(), &second);
    assert_eq!(Arc::strong_count(&first), 1);
    while polled.is_pending() {
        thread::park(); // for ever, if the second is not woken
        polled = poll(receiving.as_mut(), &second);
    }
    // Who has woken it may be about to let go.
    while Arc::strong_count(&second) > 1 {
        thread::yield_now();
    }
}

/// One message, two that wait for it: one gets it, and the other hears of the end.
#[test]
fn two_receivers_of_one_message() {
    async fn receive(rx: Receiver<Instant>) -> bool {
        let received = rx.recv_async().await.is_ok();
        rx.close();
        received
    }
    let rx = after(SHORT);
    let (one, other) = block_on(join(receive(rx.clone()), receive(rx.clone())));
    assert!(one != other);

    let rx = tick(SHORT);
    let (one, other) = block_on(join(rx.recv_async(), rx.recv_async()));
    let apart = one.unwrap().max(other.unwrap()) - one.unwrap().min(other.unwrap());
    assert!(apart >= SHORT, "each has a tick of its own");
}

/// A blocking receiver and a future on one channel.
#[test]
fn beside_one_that_blocks() {
    let ticks = tick(SHORT);
    let blocks = {
        let ticks = ticks.clone();
        thread::spawn(move || (0..5).map(|_| ticks.recv().unwrap()).collect::<Vec<_>>())
    };
    let mut all: Vec<_> = block_on(pin!(ticks.stream()).take(5).collect());
    all.extend(blocks.join().unwrap());
    all.sort();
    assert!(all.is_sorted_by(|one, next| *next - *one >= SHORT), "{all:?}");
}
