//! What acts do beside green threads: blocking calls, OS threads, futures, runtimes of their own.

use super::{Value, World, planned};
use crate::Dice;
use greenlight::{
    JoinHandle, Mutex, Runtime, WaitGroup, block_on, blocking,
    channel::{RecvTimeoutError, bounded},
    fs, go, go_async, go_near, sleep,
    task::{check_cancelled, shield},
    time::{sleep_async, timeout},
    yield_now,
};
use std::{
    future::{poll_fn, ready},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::Poll,
    thread,
    time::Duration,
};

pub(super) fn blocking_calls(dice: &mut Dice, _: &Arc<World>) {
    for _ in 0..dice.roll(3) {
        let (value, pause) = (Value::new(), dice.moment());
        let mut call = blocking(move || {
            thread::sleep(pause);
            value
        });
        match dice.roll(4) {
            0 => drop(call.cancel()),
            1 => drop(call.join_timeout(dice.moment())),
            2 => drop(fs::read("/proc/self/comm").expect("Linux")),
            _ => drop(call.join().expect("it does not panic")),
        }
    }
}

pub(super) fn os_threads(dice: &mut Dice, world: &Arc<World>) {
    let ((tx, rx), (back, results)) = (bounded::<Value>(0), bounded::<Value>(1));
    let world = world.clone();
    let thread = thread::Builder::new().name("round-foreign".into()).spawn(move || {
        for value in rx {
            world.level.send_modify(|level| *level += 1);
            if back.send(value).is_err() {
                break;
            }
        }
    });
    for _ in 0..dice.roll(6) {
        if tx.send_timeout(Value::new(), Duration::from_secs(30)).is_err() {
            break;
        }
        results.recv().expect("it comes back").look();
    }
    drop((tx, results));
    // Not joined, which would block the worker; the round waits for the thread.
    drop(thread.expect("a thread starts"));
}

async fn step() {
    let mut first = true;
    poll_fn(|asked| {
        if std::mem::take(&mut first) {
            asked.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

pub(super) fn futures(dice: &mut Dice, world: &Arc<World>) {
    let (tx, rx) = bounded::<Value>(dice.roll(3) as usize);
    let mut tasks: Vec<_> = (0..dice.roll(4))
        .map(|_| {
            let (tx, count, world) = (tx.clone(), dice.roll(10), world.clone());
            go_async(async move {
                for _ in 0..count {
                    step().await;
                    if tx.send_async(Value::new()).await.is_err() {
                        return;
                    }
                    drop(world.permits.acquire_async(1).await);
                }
            })
        })
        .collect();
    drop(tx);
    let (limit, fails) = (dice.moment() * 8, dice.one_in(6));
    tasks.push(go_async(async move {
        while let Ok(Ok(value)) = timeout(limit, rx.recv_async()).await {
            value.look();
            sleep_async(limit / 64).await;
        }
        if fails {
            planned();
        }
    }));
    if dice.one_in(3) {
        tasks[dice.roll(tasks.len() as u64) as usize].cancel();
    }
    for task in tasks {
        match dice.roll(3) {
            0 => drop(task.join()),
            1 => drop(block_on(task)),
            _ => drop(task),
        }
    }
}

/// Blocking calls inside polls.
pub(super) fn blocked_futures(dice: &mut Dice, _: &Arc<World>) {
    let (tx, rx) = bounded::<Value>(1);
    let tasks: Vec<_> = (0..1 + dice.roll(5))
        .map(|_| {
            let (rx, pause) = (rx.clone(), dice.moment());
            go_async(async move {
                sleep(pause);
                ready(()).await;
                rx.recv().is_ok()
            })
        })
        .collect();
    if dice.one_in(3) {
        tasks[0].cancel();
    }
    drop(rx);
    for _ in 0..tasks.len() {
        if tx.send(Value::new()).is_err() {
            break;
        }
    }
    drop(tx);
    tasks.into_iter().for_each(|task| drop(task.join()));
}

/// Cancels the future that it belongs to, also if the act is cancelled itself.
struct CancelOnDrop(JoinHandle<()>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

pub(super) fn cancelled_futures(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(6) {
        let world = world.clone();
        let kind = dice.roll(4);
        let value = Value::new();
        let task = CancelOnDrop(go_async(async move {
            match kind {
                0 => drop(world.channels[0].1.recv_async().await),
                1 => drop(world.lock.lock_async().await),
                2 => world.notify.notified().await,
                _ => sleep_async(Duration::from_secs(3600)).await,
            }
            value.look();
        }));
        if dice.one_in(2) {
            yield_now();
        }
        task.0.cancel();
        if dice.one_in(2) {
            let mut task = task;
            drop(block_on(&mut task.0));
        }
    }
}

static INNER: AtomicUsize = AtomicUsize::new(0);

/// How many runtimes acts have made.
pub fn inner_runtimes() -> usize {
    INNER.load(Relaxed)
}

/// A runtime inside, for a while.
pub(super) fn runtimes(dice: &mut Dice, _: &Arc<World>) {
    if !dice.one_in(50) {
        return; // each costs a thread, and a little memory for ever
    }
    let runtime = Runtime::builder().workers(1).name("round-inner").build().expect("it starts");
    INNER.fetch_add(1, Relaxed);
    let (tx, rx) = bounded::<Value>(0);
    let inside: Vec<_> = (0..dice.roll(5))
        .map(|_| {
            let rx = rx.clone();
            runtime.go(move || rx.recv().is_ok())
        })
        .collect();
    let _ = tx.send_timeout(Value::new(), dice.moment());
    if dice.one_in(2) {
        let report = shield(|| runtime.shutdown(Duration::from_secs(50)));
        assert!(report.left().is_empty(), "{:?}", report.left());
    }
    drop((tx, rx));
    inside.into_iter().for_each(|task| drop(task.join()));
}

pub(super) fn bursts(dice: &mut Dice, _: &Arc<World>) {
    let group = WaitGroup::new();
    for _ in 0..dice.roll(20) {
        let (value, near) = (Value::new(), dice.one_in(4));
        let token = group.token();
        let call = move || {
            let _token = token;
            yield_now();
            value.look();
        };
        drop(if near { go_near(call) } else { go(call) });
    }
    group.wait();
}

pub(super) fn shields(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(5) {
        shield(|| {
            sleep(dice.moment() / 4);
            let received = world.channel(dice).1.recv_timeout(dice.moment());
            assert!(!matches!(received, Err(RecvTimeoutError::Disconnected)));
        });
        check_cancelled();
    }
    static ALWAYS: LazyLock<Mutex<u64>> = LazyLock::new(Mutex::default);
    *ALWAYS.lock() += 1;
}
