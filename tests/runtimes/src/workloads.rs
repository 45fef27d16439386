//! What is done on each host: one function for each primitive. Tasks await, calls block, and both use one object.

use crate::{Host, Tally, Task, Team, ledger::Ledger};
use futures_lite::{StreamExt, future};
use greenlight_core::{
    Mutex, RwLock, WaitGroup,
    channel::{
        Receiver, RecvError, Sender, StaticChannel, bounded, bounded_strict,
        broadcast::{self, RecvError as Broadcast},
        oneshot, unbounded, watch,
    },
    select,
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    task::Poll,
};

mod sync;

pub use sync::*;

type Maker<T> = fn() -> (Sender<T>, Receiver<T>);

/// Every channel on the heap, by its maker.
fn makers<T: Send + 'static>() -> Vec<Maker<T>> {
    vec![|| bounded(0), || bounded(1), || bounded(7), unbounded, || bounded_strict(1), || bounded_strict(7)]
}

const SENDERS: u64 = 4;
const EACH: u64 = 150;

/// Senders and receivers, half of them futures and half blocking calls, on one channel. A macro, because where a channel lives
/// is a part of its handles' type.
macro_rules! pipe {
    ($host:expr, $channel:expr) => {{
        let (tx, rx) = $channel;
        let mut team = Team::on($host);
        for first in 0..SENDERS {
            let numbers = move || (first..SENDERS * EACH).step_by(SENDERS as usize);
            let tx = tx.clone();
            if first % 2 == 0 {
                team.task(async move {
                    for number in numbers() {
                        tx.send_async(number).await.expect("receivers are there to the end");
                    }
                });
            } else {
                team.call(move || {
                    numbers().for_each(|number| tx.send(number).expect("receivers are there to the end"))
                });
            }
            let rx = rx.clone();
            if first % 2 == 0 {
                team.task(async move {
                    let mut tally = Tally::default();
                    while let Ok(number) = rx.recv_async().await {
                        tally += number;
                    }
                    tally
                });
            } else {
                team.call(move || rx.iter().collect::<Tally>());
            }
        }
        drop((tx, rx));
        assert_eq!(team.finish(), Tally::below(SENDERS * EACH));
    }};
}

/// Every kind of channel on the heap.
pub fn pipes(host: &dyn Host) {
    makers().into_iter().for_each(|make| pipe!(host, make()));
}

/// The same on a channel in its own memory.
pub fn static_pipes(host: &dyn Host) {
    pipe!(host, Box::leak(Box::new(StaticChannel::<u64, 1>::new())).split());
    pipe!(host, Box::leak(Box::new(StaticChannel::<u64, 4>::new())).split());
}

/// Receivers as streams.
pub fn pipes_of_streams(host: &dyn Host) {
    for make in makers() {
        let (tx, rx) = make();
        let mut team = Team::on(host);
        for _ in 0..3 {
            let rx = rx.clone();
            team.task(async move {
                rx.into_stream().fold(Tally::default(), |tally, number| tally + Tally { count: 1, sum: number }).await
            });
        }
        drop(rx);
        team.task(async move {
            for number in 0..EACH {
                tx.send_async(number).await.expect("receivers are there to the end");
            }
        });
        assert_eq!(team.finish(), Tally::below(EACH));
    }
}

/// A receiver that awaits two channels, and drops the future that came second, each time.
pub fn races(host: &dyn Host) {
    for make in makers() {
        let (channels, mut team) = ([make(), make()], Team::on(host));
        let rxs = channels.each_ref().map(|(_, rx)| rx.clone());
        for (index, (tx, _)) in channels.into_iter().enumerate() {
            team.task(async move {
                for number in (index as u64..2 * EACH).step_by(2) {
                    tx.send_async(number).await.expect("receivers are there to the end");
                }
            });
        }
        for _ in 0..2 {
            let [a, b] = rxs.clone();
            team.task(async move {
                let mut tally = Tally::default();
                loop {
                    let first =
                        future::or(async { (a.recv_async().await, &b) }, async { (b.recv_async().await, &a) }).await;
                    match first {
                        (Ok(number), _) => tally += number,
                        (Err(RecvError), other) => {
                            while let Ok(number) = other.recv_async().await {
                                tally += number;
                            }
                            return tally;
                        }
                    }
                }
            });
        }
        drop(rxs);
        assert_eq!(team.finish(), Tally::below(2 * EACH));
    }
}

/// A blocking `select!` between tasks that await: receives, sends, and a foreign future beside them.
pub fn selects(host: &dyn Host) {
    for make in makers() {
        let ((orders, incoming), (outgoing, goods), (urgent, express)) = (make(), make(), make());
        let mut team = Team::on(host);
        for _ in 0..2 {
            let (incoming, outgoing, express) = (incoming.clone(), outgoing.clone(), express.clone());
            team.call(move || {
                let (mut shelf, mut open) = (Vec::new(), [true; 2]);
                while open != [false; 2] || !shelf.is_empty() {
                    // No arm of a select can be switched off, so one that has nothing to do gets a channel that is never ready.
                    let (incoming, nothing) =
                        (if open[0] { Ok(&incoming) } else { Err(()) }, greenlight_core::channel::never());
                    let more = open[1];
                    let express = async { if more { express.recv_async().await } else { future::pending().await } };
                    let incoming = incoming.unwrap_or(&nothing);
                    if let Some(number) = shelf.last().copied() {
                        select! {
                            recv(incoming) -> order => match order {
                                Ok(order) => shelf.push(order),
                                Err(_) => open[0] = false,
                            },
                            wait(express) -> order => match order {
                                Ok(order) => shelf.push(order),
                                Err(_) => open[1] = false,
                            },
                            send(outgoing, number) -> sent => {
                                sent.expect("the receiver is there to the end");
                                shelf.pop();
                            }
                        }
                    } else {
                        select! {
                            recv(incoming) -> order => match order {
                                Ok(order) => shelf.push(order),
                                Err(_) => open[0] = false,
                            },
                            wait(express) -> order => match order {
                                Ok(order) => shelf.push(order),
                                Err(_) => open[1] = false,
                            },
                        }
                    }
                }
            });
        }
        drop((incoming, outgoing, express));
        for (index, tx) in [orders, urgent].into_iter().enumerate() {
            team.task(async move {
                for number in (index as u64..2 * EACH).step_by(2) {
                    tx.send_async(number).await.expect("receivers are there to the end");
                }
            });
        }
        team.task(async move {
            goods.stream().fold(Tally::default(), |tally, number| tally + Tally { count: 1, sum: number }).await
        });
        assert_eq!(team.finish(), Tally::below(2 * EACH));
    }
}

/// `future`, given up once it has been pending `polls` times.
async fn patiently<F: Future>(future: F, mut polls: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Sends and receives that are dropped after a while: each value is received once, or goes with its send.
pub fn cancelled_futures(host: &dyn Host) {
    for make in makers() {
        let (tx, rx) = make();
        let ledger = Ledger::new((SENDERS * EACH) as usize);
        let mut team = Team::on(host);
        for first in 0..SENDERS {
            let (tx, ledger) = (tx.clone(), ledger.clone());
            team.task(async move {
                for number in (first..SENDERS * EACH).step_by(SENDERS as usize) {
                    let sending = tx.send_async(ledger.parcel(number as usize));
                    // Some are for good, so that there is something to receive.
                    let patience = if number.is_multiple_of(3) { u64::MAX } else { number % 4 };
                    if let Some(sent) = patiently(sending, patience).await {
                        assert!(sent.is_ok(), "receivers are there to the end");
                        ledger.sent(number as usize);
                    }
                }
            });
            let rx = rx.clone();
            if first % 2 == 0 {
                team.task(async move {
                    for patience in 0.. {
                        match patiently(rx.recv_async(), patience % 4).await {
                            Some(Ok(parcel)) => parcel.open(),
                            Some(Err(RecvError)) => break,
                            None => future::yield_now().await,
                        }
                    }
                });
            } else {
                team.call(move || rx.iter().for_each(|parcel| parcel.open()));
            }
        }
        drop((tx, rx));
        team.finish();
        ledger.check();
    }
}

/// Polled once, by the host's task `from`, and found pending: then it goes to another task and is finished there.
fn move_on(host: &dyn Host, mut future: Task, then: impl FnOnce() + Send + 'static, before: bool) {
    let (moved, future_again) = mpsc::channel();
    let mut team = Team::on(host);
    team.task(async move {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "there is nothing yet");
        moved.send(future).expect("the test waits for it");
    });
    team.finish();
    let mut future: Task = future_again.recv().expect("it was sent");
    if before {
        then();
        let mut team = Team::on(host);
        team.task(future);
        team.finish();
    } else {
        let mut team = Team::on(host);
        let (polled, it_was_polled) = mpsc::channel();
        team.task(poll_fn(move |context| {
            let answer = future.as_mut().poll(context);
            let _ = polled.send(());
            answer
        }));
        it_was_polled.recv().expect("it is polled");
        then();
        team.finish();
    }
}

/// Futures that are begun in one task and finished in another, which may belong to another runtime: the waker of the last
/// poll is the one that counts, and what it waits for may come before that poll, or after it.
pub fn moved_futures(host: &dyn Host) {
    for round in 0..14 {
        let before = round % 2 == 0;
        for make in makers() {
            let (tx, rx) = make();
            let receive = Box::pin(async move { assert_eq!(rx.recv_async().await, Ok(7)) });
            // A rendezvous waits for its receiver's next poll, a full channel for its receiver.
            move_on(host, receive, move || drop(std::thread::spawn(move || tx.send(7))), before);
        }
        for make in [|| bounded(0), || bounded(1), || bounded_strict(1)] {
            let (tx, rx) = make();
            let _ = tx.try_send(1); // full, if it has room at all
            let expected = rx.len() as u64 + 1;
            let send = Box::pin(async move { assert_eq!(tx.send_async(1).await, Ok(())) });
            let (received, result) = mpsc::channel();
            let receive_all = move || received.send(rx.iter().sum::<u64>());
            move_on(host, send, || drop(std::thread::spawn(receive_all)), before);
            assert_eq!(result.recv(), Ok(expected));
        }
        let (tx, rx) = oneshot::channel();
        move_on(host, Box::pin(async move { assert_eq!(rx.await, Ok(7)) }), move || tx.send(7).unwrap(), before);
        let (tx, mut rx) = watch::channel(1);
        let change = Box::pin(async move {
            rx.changed_async().await.unwrap();
            assert_eq!(rx.get(), 2);
        });
        move_on(host, change, move || tx.send(2).unwrap(), before);
        let (tx, mut rx) = broadcast::channel(1);
        move_on(
            host,
            Box::pin(async move { assert_eq!(rx.recv_async().await, Ok(7)) }),
            move || tx.send(7).unwrap(),
            before,
        );
    }
}

/// Requests, each with a channel for its reply.
pub fn oneshots(host: &dyn Host) {
    let (tx, requests) = bounded::<(u64, oneshot::Sender<u64>)>(2);
    let mut team = Team::on(host);
    for _ in 0..2 {
        let requests = requests.clone();
        team.task(async move {
            while let Ok((number, reply)) = requests.recv_async().await {
                // Every seventh gets none: its sender is dropped.
                if !number.is_multiple_of(7) {
                    reply.send(2 * number).expect("the client waits");
                }
            }
        });
    }
    drop(requests);
    for first in 0..SENDERS {
        let tx = tx.clone();
        let expected = |number: u64| if number.is_multiple_of(7) { Err(oneshot::RecvError) } else { Ok(2 * number) };
        if first % 2 == 0 {
            team.task(async move {
                for number in 0..EACH {
                    let (reply, answer) = oneshot::channel();
                    assert!(tx.send_async((number, reply)).await.is_ok());
                    assert_eq!(answer.await, expected(number));
                }
            });
        } else {
            team.call(move || {
                for number in 0..EACH {
                    let (reply, answer) = oneshot::channel();
                    assert!(tx.send((number, reply)).is_ok());
                    assert_eq!(answer.recv(), expected(number));
                }
            });
        }
    }
    drop(tx);
    team.finish();
}

/// Everybody sees the latest value in the end, and never an older one after a newer.
pub fn watches(host: &dyn Host) {
    let (tx, rx) = watch::channel(0);
    let mut team = Team::on(host);
    for watcher in 0..4 {
        let mut rx = rx.clone();
        if watcher % 2 == 0 {
            team.task(async move {
                let mut latest = 0;
                while rx.changed_async().await.is_ok() {
                    let value = rx.get();
                    assert!(value > latest, "{value} after {latest}");
                    latest = value;
                }
                assert_eq!(latest, EACH);
            });
        } else {
            team.call(move || {
                let mut latest = 0;
                while rx.changed().is_ok() {
                    let value = rx.get();
                    assert!(value > latest, "{value} after {latest}");
                    latest = value;
                }
                assert_eq!(latest, EACH);
            });
        }
    }
    drop(rx);
    team.task(async move {
        for value in 1..=EACH {
            assert!(tx.send(value).is_ok());
            future::yield_now().await;
        }
    });
    team.finish();
}

/// Everybody receives each value in order, or hears how many he has missed.
pub fn broadcasts(host: &dyn Host) {
    fn note(next: &mut u64, received: Result<u64, Broadcast>) -> bool {
        match received {
            Ok(value) => assert_eq!(std::mem::replace(next, value + 1), value, "in order"),
            Err(Broadcast::Lagged(missed)) => *next += missed,
            Err(Broadcast::Closed) => return false,
        }
        true
    }

    let (tx, rx) = broadcast::channel(8);
    let mut team = Team::on(host);
    for receiver in 0..4 {
        let mut rx = tx.subscribe();
        if receiver % 2 == 0 {
            team.task(async move {
                let mut next = 0;
                while note(&mut next, rx.recv_async().await) {}
                assert_eq!(next, EACH);
            });
        } else {
            team.call(move || {
                let mut next = 0;
                while note(&mut next, rx.recv()) {}
                assert_eq!(next, EACH);
            });
        }
    }
    drop(rx);
    team.task(async move {
        for value in 0..EACH {
            assert!(tx.send(value).is_ok());
            if value.is_multiple_of(4) {
                future::yield_now().await;
            }
        }
    });
    team.finish();
}

/// Locks from blocking calls, held across a wait for a task.
pub fn locks(host: &dyn Host) {
    let (mutex, rw_lock, echoes) =
        (Arc::new(Mutex::new(0)), Arc::new(RwLock::new([0; 2])), Arc::new(AtomicU64::new(0)));
    let mut team = Team::on(host);
    let (shout, shouts) = bounded::<oneshot::Sender<()>>(0);
    team.task({
        let echoes = echoes.clone();
        async move {
            while let Ok(reply) = shouts.recv_async().await {
                echoes.fetch_add(1, Relaxed);
                reply.send(()).expect("the caller waits");
            }
        }
    });
    for _ in 0..SENDERS {
        let (mutex, rw_lock, shout) = (mutex.clone(), rw_lock.clone(), shout.clone());
        team.call(move || {
            for round in 0..EACH {
                let mut count = mutex.lock();
                *count += 1;
                if round.is_multiple_of(10) {
                    let (reply, echo) = oneshot::channel();
                    shout.send(reply).expect("the task is there to the end");
                    echo.recv().expect("it answers");
                }
                drop(count);
                match round % 3 {
                    0 => {
                        let mut both = rw_lock.write();
                        both[0] += 1;
                        both[1] += 1;
                    }
                    _ => {
                        let both = rw_lock.read();
                        assert_eq!(both[0], both[1]);
                    }
                }
            }
        });
    }
    drop(shout);
    team.finish();
    assert_eq!(*mutex.lock(), SENDERS * EACH);
    assert_eq!(*rw_lock.read(), [SENDERS * EACH / 3; 2]);
    assert_eq!(echoes.load(Relaxed), SENDERS * EACH / 10);
}

/// Tasks report done, calls wait; the group is used again and again.
pub fn wait_groups(host: &dyn Host) {
    let (group, done) = (Arc::new(WaitGroup::new()), Arc::new(AtomicU64::new(0)));
    for round in 1..=10 {
        let mut team = Team::on(host);
        group.add(SENDERS as usize);
        for waiter in 0..2 {
            let (group, done) = (group.clone(), done.clone());
            team.call(move || {
                group.wait();
                assert_eq!(done.load(Relaxed), round * SENDERS, "waiter {waiter}");
            });
        }
        for _ in 0..SENDERS {
            let (group, done) = (group.clone(), done.clone());
            team.task(async move {
                future::yield_now().await;
                let _done = group.done_on_drop();
                done.fetch_add(1, Relaxed);
            });
        }
        team.finish();
    }
}
