//! What only one runtime has: its time limits, its abort, its shutdown, its own futures beside channels.

use embassy_executor::{Executor, Spawner};
use futures_lite::{FutureExt, future};
use greenlight_core::{
    channel::{Receiver, Sender, StaticChannel, bounded, bounded_strict, oneshot, unbounded},
    select,
};
use greenlight_runtime_tests::{HANG, Host, Tally, Team, hosts::TokioThreads};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use tokio::{task, time};

const MOMENT: Duration = Duration::from_micros(50);
const COUNT: u64 = 2_000;

fn channels() -> [(Sender<u64>, Receiver<u64>); 4] {
    [bounded(0), bounded(1), bounded_strict(1), unbounded()]
}

/// Receives that run out of time, hundreds of times in the middle of something, lose nothing.
#[test]
fn tokio_timeouts_lose_nothing() {
    let host = TokioThreads::new();
    for (tx, rx) in channels() {
        let mut team = Team::on(&host);
        for _ in 0..3 {
            let rx = rx.clone();
            team.task(async move {
                let mut tally = Tally::default();
                loop {
                    match time::timeout(MOMENT, rx.recv_async()).await {
                        Ok(Ok(number)) => tally += number,
                        Ok(Err(_)) => return tally,
                        Err(_) => {} // again
                    }
                }
            });
        }
        drop(rx);
        team.call(move || {
            for number in 0..COUNT {
                if number.is_multiple_of(64) {
                    thread::sleep(MOMENT); // so that some do run out of time
                }
                tx.send(number).unwrap();
            }
        });
        assert_eq!(team.finish(), Tally::below(COUNT));
    }
}

/// A task that is aborted while it receives has kept what it had, and taken nothing more.
#[test]
fn tokio_aborts_lose_nothing() {
    let host = TokioThreads::new();
    for (tx, rx) in channels() {
        let sending = thread::spawn(move || (0..COUNT).for_each(|number| tx.send(number).unwrap()));
        let (kept, received) = mpsc::channel();
        loop {
            let (rx_here, kept) = (rx.clone(), kept.clone());
            let receiver = host.runtime().spawn(async move {
                while let Ok(number) = rx_here.recv_async().await {
                    kept.send(number).unwrap(); // no await in between: an abort comes at an await
                }
            });
            thread::sleep(MOMENT);
            receiver.abort();
            match host.runtime().block_on(receiver) {
                Ok(()) => break, // the channel was closed and empty
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        drop(kept);
        sending.join().unwrap();
        assert_eq!(received.iter().collect::<Tally>(), Tally::below(COUNT));
    }
}

/// A runtime that ends drops its tasks in the middle of sends and receives; the others go on.
#[test]
fn tokio_shuts_down_in_the_middle() {
    for (tx, rx) in channels() {
        let (taken, at_rest) = bounded(0);
        let doomed = TokioThreads::new();
        for _ in 0..4 {
            let (rx, taken) = (rx.clone(), taken.clone());
            doomed.spawn(Box::pin(async move {
                taken.send_async(()).await.unwrap();
                rx.recv_async().await.expect("never: nothing comes in time");
            }));
        }
        (0..4).for_each(|_| at_rest.recv().unwrap());
        drop(doomed);
        let receiver = thread::spawn(move || rx.iter().collect::<Tally>());
        (0..COUNT).for_each(|number| tx.send(number).unwrap());
        drop(tx);
        assert_eq!(receiver.join().unwrap(), Tally::below(COUNT));
    }
}

/// tokio's own ways to block, and its tasks that are not `Send`.
#[test]
fn tokio_blocks_in_place_and_runs_local_tasks() {
    let host = TokioThreads::new();
    let (tx, rx) = bounded(0);
    let sum = host.runtime().block_on(async {
        let receiver = task::spawn(async move { task::block_in_place(|| rx.iter().sum::<u64>()) });
        let local = task::LocalSet::new();
        local
            .run_until(async move {
                let next = Rc::new(RefCell::new(0..COUNT));
                let senders = [(); 2].map(|()| {
                    let (next, tx) = (next.clone(), tx.clone());
                    task::spawn_local(async move {
                        loop {
                            let Some(number) = next.borrow_mut().next() else { return };
                            tx.send_async(number).await.unwrap();
                        }
                    })
                });
                drop(tx);
                for sender in senders {
                    sender.await.unwrap();
                }
            })
            .await;
        receiver.await.unwrap()
    });
    assert_eq!(sum, Tally::below(COUNT).sum);
}

/// Arms of a blocking `select!` that belong to other libraries: their timers and join handles.
#[test]
fn foreign_futures_in_a_select() {
    let host = TokioThreads::new();
    let _inside = host.runtime().enter();
    let (_tx, rx) = bounded::<()>(0);
    let answer = host.runtime().spawn(async { 7 });
    select! {
        recv(rx) -> _ => unreachable!(),
        wait(answer) -> answer => assert_eq!(answer.unwrap(), 7),
    }
    select! {
        recv(rx) -> _ => unreachable!(),
        wait(time::sleep(MOMENT)) -> () => {}
    }
    select! {
        recv(rx) -> _ => unreachable!(),
        wait(smol::Timer::after(MOMENT)) -> _ => {}
    }
    select! {
        recv(rx) -> _ => unreachable!(),
        wait(embassy_time::Timer::after_micros(50)) -> () => {}
    }
    let (order, ordered) = smol::channel::bounded(1);
    let (words_tx, words) = bounded(0);
    let speaker = thread::spawn(move || {
        words_tx.send("hello").unwrap();
        order.send_blocking("stop").unwrap();
    });
    let mut heard = Vec::new();
    loop {
        select! {
            recv(words) -> word => match word {
                Ok(word) => heard.push(word),
                Err(_) => break heard.push(ordered.recv_blocking().unwrap()), // it was quicker
            },
            wait(ordered.recv()) -> order => break heard.push(order.unwrap()),
        }
    }
    assert_eq!(heard, ["hello", "stop"]);
    speaker.join().unwrap();
}

/// smol's tasks are cancelled by dropping them, and its timers race with receives.
#[test]
fn smol_drops_and_timers_lose_nothing() {
    for (tx, rx) in channels() {
        let sending = thread::spawn(move || (0..COUNT).for_each(|number| tx.send(number).unwrap()));
        let tally = smol::block_on(async {
            let (executor, mut tally) = (smol::LocalExecutor::new(), Tally::default());
            executor
                .run(async {
                    loop {
                        let doomed = executor.spawn(rx.recv_async());
                        future::yield_now().await;
                        match doomed.cancel().await {
                            Some(Ok(number)) => tally += number,
                            Some(Err(_)) => return tally,
                            None => {} // it had not got so far
                        }
                        let late = async {
                            smol::Timer::after(MOMENT).await;
                            None
                        };
                        match async { Some(rx.recv_async().await) }.or(late).await {
                            Some(Ok(number)) => tally += number,
                            Some(Err(_)) => return tally,
                            None => {}
                        }
                    }
                })
                .await
        });
        sending.join().unwrap();
        assert_eq!(tally, Tally::below(COUNT));
    }
}

/// A program as an embassy user writes it: static tasks, a static channel, embassy's own time limits.
mod embassy {
    use super::*;
    use embassy_time::{Timer, with_timeout};

    static NUMBERS: StaticChannel<u64, 2> = StaticChannel::new();

    #[embassy_executor::task(pool_size = 2)]
    async fn produce(first: u64) {
        for number in (first..COUNT).step_by(2) {
            if number.is_multiple_of(128) {
                Timer::after_micros(100).await;
            }
            NUMBERS.sender().send_async(number).await.unwrap();
        }
    }

    #[embassy_executor::task]
    async fn consume(result: mpsc::Sender<Tally>) {
        let mut tally = Tally::default();
        while tally.count < COUNT {
            if let Ok(number) =
                with_timeout(embassy_time::Duration::from_micros(50), NUMBERS.receiver().recv_async()).await
            {
                tally += number.unwrap();
            }
        }
        result.send(tally).unwrap();
    }

    #[test]
    fn embassy_timeouts_lose_nothing() {
        let (result, tally) = mpsc::channel();
        thread::spawn(|| {
            let executor = Box::leak(Box::new(Executor::new()));
            executor.run(|spawner: Spawner| {
                spawner.spawn(produce(0).unwrap());
                spawner.spawn(produce(1).unwrap());
                spawner.spawn(consume(result).unwrap());
            })
        });
        assert_eq!(tally.recv_timeout(HANG), Ok(Tally::below(COUNT)));
    }
}

/// Whether it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A future that was polled with one waker and then with another wakes the other.
#[test]
fn the_last_waker_is_woken() {
    fn check<F: Future>(future: F, fulfil: impl FnOnce()) {
        let wakers = [(); 2].map(|()| Arc::new(Woken::default()));
        let [first, last] = wakers.each_ref().map(|woken| Waker::from(woken.clone()));
        let mut future = Box::pin(future);
        for waker in [&first, &last] {
            assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        fulfil();
        assert_eq!(wakers[1].0.load(SeqCst), 1);
        assert!(matches!(future.as_mut().poll(&mut Context::from_waker(&last)), Poll::Ready(_)));
        drop((future, first, last));
        assert!(wakers.iter().all(|woken| Arc::strong_count(woken) == 1), "wakers are not kept");
    }

    let (tx, rx) = bounded(1);
    check(rx.recv_async(), || tx.send(1).unwrap());
    tx.send(2).unwrap();
    check(tx.send_async(3), || assert_eq!(rx.recv(), Ok(2)));
    let (tx, rx) = oneshot::channel();
    check(rx, || tx.send(1).unwrap());
}
