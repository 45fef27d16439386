//! The small channels (oneshot, watch, broadcast) with everybody on them at once: green threads, OS threads, and futures of
//! an executor that knows nothing of greenlight.

use greenlight::{
    Runtime, Watch,
    channel::{broadcast, oneshot, watch},
    go, yield_now,
};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

/// Runs one future on this OS thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Where a test's part runs. The test itself is on an OS thread: there it may wait for parts of both kinds.
enum Part<T> {
    Green(greenlight::JoinHandle<T>),
    Os(thread::JoinHandle<T>),
}

impl<T: Send + 'static> Part<T> {
    /// The `i`th part: a green thread for every third one. Futures are for the others: `block_on` stops an OS thread.
    fn start(i: usize, f: impl FnOnce() -> T + Send + 'static) -> Self {
        if i.is_multiple_of(3) { Self::Green(go(f)) } else { Self::Os(thread::spawn(f)) }
    }

    fn join(self) -> T {
        match self {
            Self::Green(green) => green.join().unwrap(),
            Self::Os(os) => os.join().unwrap(),
        }
    }
}

#[test]
fn answers_come_back_to_whoever_asked() {
    let askers: Vec<_> = (0..300)
        .map(|i| {
            let (answer, mut question) = oneshot::channel();
            let asker = Part::start(i, move || match i % 3 {
                0 => question.recv(),
                1 => question.recv_timeout(Duration::from_secs(60)).map_err(|_| oneshot::RecvError),
                _ => block_on(&mut question),
            });
            // Crosswise, so that every kind answers every other. Some go without an answer.
            let answerer = Part::start(i / 3, move || {
                yield_now();
                if i % 7 > 0 { answer.send(i).is_ok() } else { false }
            });
            (i, asker, answerer)
        })
        .collect();
    for (i, asker, answerer) in askers {
        let expected = if i % 7 > 0 { Ok(i) } else { Err(oneshot::RecvError) };
        assert_eq!((asker.join(), answerer.join()), (expected, expected.is_ok()));
    }
}

#[test]
fn whoever_watches_ends_with_the_latest_value() {
    const CHANGES: usize = 2_000;
    let (tx, rx) = watch::channel(0);
    let watchers: Vec<_> = (0..12)
        .map(|i| {
            let mut rx = rx.clone();
            Part::start(i, move || {
                let mut last = 0;
                loop {
                    let changed = match i % 6 {
                        2 | 5 => block_on(rx.changed_async()).is_ok(),
                        0 | 1 => rx.changed().is_ok(),
                        _ => match rx.changed_timeout(Duration::from_micros(50)) {
                            Err(watch::RecvTimeoutError::Timeout) => continue,
                            changed => changed.is_ok(),
                        },
                    };
                    if !changed {
                        return rx.get();
                    }
                    let value = rx.get();
                    assert!(value > last, "{value} after {last}");
                    last = value;
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..4)
        .map(|i| {
            let tx = tx.clone();
            Part::start(i, move || (0..CHANGES).for_each(|_| tx.send_modify(|value| *value += 1)))
        })
        .collect();
    drop(tx);
    senders.into_iter().for_each(Part::join);
    assert!(watchers.into_iter().all(|watcher| watcher.join() == 4 * CHANGES));
}

#[test]
fn a_watch_in_a_static_needs_no_halves() {
    static READY: Watch<bool> = Watch::new(false);
    let waiting: Vec<_> = (0..6)
        .map(|i| {
            Part::start(i, move || {
                let mut watcher = READY.subscribe();
                while !watcher.get() {
                    if i % 3 == 2 { block_on(watcher.changed_async()) } else { watcher.changed() }
                }
            })
        })
        .collect();
    READY.send(true);
    waiting.into_iter().for_each(Part::join);
}

#[test]
fn every_receiver_gets_every_value_or_is_told() {
    const VALUES: u64 = 1_500;
    let (tx, rx) = broadcast::channel::<(usize, Box<u64>)>(64);
    let receivers: Vec<_> = (0..9)
        .map(|i| {
            let mut rx = tx.subscribe();
            Part::start(i, move || {
                let (mut last, mut count) = ([None; 3], 0);
                loop {
                    match if i % 3 == 2 { block_on(rx.recv_async()) } else { rx.recv() } {
                        Ok((sender, number)) => {
                            assert!(last[sender] < Some(*number));
                            last[sender] = Some(*number);
                            count += 1;
                        }
                        Err(broadcast::RecvError::Lagged(missed)) => count += missed,
                        Err(broadcast::RecvError::Closed) => return count,
                    }
                }
            })
        })
        .collect();
    drop(rx);
    let senders: Vec<_> = (0..3)
        .map(|sender| {
            let tx = tx.clone();
            Part::start(sender, move || {
                (0..VALUES).for_each(|number| tx.send((sender, Box::new(number))).unwrap());
            })
        })
        .collect();
    drop(tx);
    senders.into_iter().for_each(Part::join);
    assert!(receivers.into_iter().all(|receiver| receiver.join() == 3 * VALUES));
}

/// A green thread that waits for another's `clone` leaves its worker to that one: with one worker, anything else would hang.
#[test]
fn a_clone_that_waits_does_not_stop_the_worker() {
    struct Yielding;
    impl Clone for Yielding {
        fn clone(&self) -> Self {
            (0..3).for_each(|_| yield_now());
            Self
        }
    }
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let (tx, rx) = broadcast::channel(4);
        drop(rx);
        let receivers: Vec<_> = (0..5)
            .map(|i| {
                let mut rx = tx.subscribe();
                go(move || {
                    let mut received = 0;
                    loop {
                        match if i == 0 { rx.try_recv() } else { rx.recv().map_err(Into::into) } {
                            Ok(_) => received += 1,
                            Err(broadcast::TryRecvError::Empty) => yield_now(),
                            Err(_) => return received,
                        }
                    }
                })
            })
            .collect();
        (0..4).for_each(|_| tx.send(Yielding).map_err(drop).unwrap());
        drop(tx);
        assert!(receivers.into_iter().all(|receiver| receiver.join().unwrap() == 4));
    });
}
