//! Other channels, measured by the same law. Their faults are not ours to fail for: only that the harness finds those
//! which are known, so that its silence about greenlight means something.

use crate::greenlight_channel::sparsely;
use greenlight_tests::conservation::*;
use std::time::Duration;

struct Crossbeam;
struct Flume;
/// By the sends that leave a refused value with the caller, or by those that drop it.
struct Kanal<const LEAVES_REFUSED: bool>;
struct AsyncChannel;

impl Subject for Crossbeam {
    type Sender<T: Value> = crossbeam_channel::Sender<T>;
    type Receiver<T: Value> = crossbeam_channel::Receiver<T>;

    const ABILITIES: Abilities = Abilities { timeouts: true, close: None, drops_refused: false, select: true };

    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Self::Sender<T>, Self::Receiver<T>)> {
        Some(capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded))
    }

    fn try_send<T: Value>(tx: &Self::Sender<T>, value: T) -> Sent<T> {
        tx.try_send(value).map_err(|error| Some(error.into_inner()))
    }

    fn try_recv<T: Value>(rx: &Self::Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    fn send_timeout<T: Value>(tx: &Self::Sender<T>, value: T, limit: Duration) -> Sent<T> {
        tx.send_timeout(value, limit).map_err(|error| Some(error.into_inner()))
    }

    fn recv_timeout<T: Value>(rx: &Self::Receiver<T>, limit: Duration) -> Option<T> {
        rx.recv_timeout(limit).ok()
    }

    fn select_recv<T: Value>(a: &Self::Receiver<T>, b: &Self::Receiver<T>, limit: Duration) -> Option<T> {
        crossbeam_channel::select! {
            recv(a) -> value => value.ok(),
            recv(b) -> value => value.ok(),
            default(limit) => None,
        }
    }

    fn select_send<T: Value>(tx: &Self::Sender<T>, value: T, rx: &Self::Receiver<T>) -> Selected<T> {
        crossbeam_channel::select! {
            send(tx, value) -> result => match result {
                Ok(()) => Selected::Sent,
                Err(error) => Selected::Refused(error.into_inner()),
            },
            recv(rx) -> value => value.map_or(Selected::Neither, Selected::Received),
            default => Selected::Neither,
        }
    }
}

impl Subject for Flume {
    type Sender<T: Value> = flume::Sender<T>;
    type Receiver<T: Value> = flume::Receiver<T>;

    const FUTURES: bool = true;
    const ABILITIES: Abilities = Abilities { timeouts: true, close: None, drops_refused: false, select: true };

    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Self::Sender<T>, Self::Receiver<T>)> {
        Some(capacity.map_or_else(flume::unbounded, flume::bounded))
    }

    fn try_send<T: Value>(tx: &Self::Sender<T>, value: T) -> Sent<T> {
        tx.try_send(value).map_err(|error| Some(error.into_inner()))
    }

    fn try_recv<T: Value>(rx: &Self::Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    fn send_timeout<T: Value>(tx: &Self::Sender<T>, value: T, limit: Duration) -> Sent<T> {
        tx.send_timeout(value, limit).map_err(|error| Some(error.into_inner()))
    }

    fn recv_timeout<T: Value>(rx: &Self::Receiver<T>, limit: Duration) -> Option<T> {
        rx.recv_timeout(limit).ok()
    }

    fn send_async<T: Value>(tx: &Self::Sender<T>, value: T) -> BoxFuture<'_, Sent<T>> {
        mapped(tx.send_async(value), |result| result.map_err(|error| Some(error.into_inner())))
    }

    fn recv_async<T: Value>(rx: &Self::Receiver<T>) -> BoxFuture<'_, Option<T>> {
        mapped(rx.recv_async(), Result::ok)
    }

    fn select_recv<T: Value>(a: &Self::Receiver<T>, b: &Self::Receiver<T>, limit: Duration) -> Option<T> {
        flume::Selector::new().recv(a, Result::ok).recv(b, Result::ok).wait_timeout(limit).ok().flatten()
    }

    fn select_send<T: Value>(tx: &Self::Sender<T>, value: T, rx: &Self::Receiver<T>) -> Selected<T> {
        flume::Selector::new()
            .send(tx, value, |result| match result {
                Ok(()) => Selected::Sent,
                Err(error) => Selected::Refused(error.into_inner()),
            })
            .recv(rx, |value| value.map_or(Selected::Neither, Selected::Received))
            .wait_timeout(Duration::ZERO)
            .unwrap_or(Selected::Neither)
    }
}

impl<const LEAVES_REFUSED: bool> Subject for Kanal<LEAVES_REFUSED> {
    type Sender<T: Value> = kanal::Sender<T>;
    type Receiver<T: Value> = kanal::Receiver<T>;

    const FUTURES: bool = true;
    // Its errors carry no value, and it documents that a refused one is dropped. Its futures do that always.
    const ABILITIES: Abilities =
        Abilities { timeouts: true, close: Some(Close::Discards), drops_refused: true, select: false };

    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Self::Sender<T>, Self::Receiver<T>)> {
        Some(capacity.map_or_else(kanal::unbounded, kanal::bounded))
    }

    fn try_send<T: Value>(tx: &Self::Sender<T>, value: T) -> Sent<T> {
        if !LEAVES_REFUSED {
            return if tx.try_send(value) == Ok(true) { Ok(()) } else { Err(None) };
        }
        let mut value = Some(value);
        let sent = tx.try_send_option(&mut value) == Ok(true);
        unless_left(sent, value)
    }

    fn try_recv<T: Value>(rx: &Self::Receiver<T>) -> Option<T> {
        rx.try_recv().ok().flatten()
    }

    fn send_timeout<T: Value>(tx: &Self::Sender<T>, value: T, limit: Duration) -> Sent<T> {
        if !LEAVES_REFUSED {
            return tx.send_timeout(value, limit).map_err(|_| None);
        }
        let mut value = Some(value);
        let sent = tx.send_option_timeout(&mut value, limit).is_ok();
        unless_left(sent, value)
    }

    fn recv_timeout<T: Value>(rx: &Self::Receiver<T>, limit: Duration) -> Option<T> {
        rx.recv_timeout(limit).ok()
    }

    fn close_sender<T: Value>(tx: &Self::Sender<T>) {
        let _ = tx.close();
    }

    fn close_receiver<T: Value>(rx: &Self::Receiver<T>) {
        let _ = rx.close();
    }

    fn send_async<T: Value>(tx: &Self::Sender<T>, value: T) -> BoxFuture<'_, Sent<T>> {
        mapped(tx.as_async().send(value), |result| result.map_err(|_| None))
    }

    fn recv_async<T: Value>(rx: &Self::Receiver<T>) -> BoxFuture<'_, Option<T>> {
        mapped(rx.as_async().recv(), Result::ok)
    }
}

fn unless_left<T>(sent: bool, left: Option<T>) -> Sent<T> {
    assert_eq!(sent, left.is_none(), "the value stays exactly if it is not sent");
    if sent { Ok(()) } else { Err(left) }
}

impl Subject for AsyncChannel {
    type Sender<T: Value> = async_channel::Sender<T>;
    type Receiver<T: Value> = async_channel::Receiver<T>;

    const FUTURES: bool = true;
    const ABILITIES: Abilities =
        Abilities { timeouts: false, close: Some(Close::Drains), drops_refused: false, select: false };

    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Self::Sender<T>, Self::Receiver<T>)> {
        match capacity {
            Some(0) => None,
            Some(capacity) => Some(async_channel::bounded(capacity)),
            None => Some(async_channel::unbounded()),
        }
    }

    fn try_send<T: Value>(tx: &Self::Sender<T>, value: T) -> Sent<T> {
        tx.try_send(value).map_err(|error| Some(error.into_inner()))
    }

    fn try_recv<T: Value>(rx: &Self::Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    fn close_sender<T: Value>(tx: &Self::Sender<T>) {
        tx.close();
    }

    fn close_receiver<T: Value>(rx: &Self::Receiver<T>) {
        rx.close();
    }

    fn send_async<T: Value>(tx: &Self::Sender<T>, value: T) -> BoxFuture<'_, Sent<T>> {
        mapped(tx.send(value), |result| result.map_err(|error| Some(error.into_inner())))
    }

    fn recv_async<T: Value>(rx: &Self::Receiver<T>) -> BoxFuture<'_, Option<T>> {
        mapped(rx.recv(), Result::ok)
    }
}

/// What the schedules of one thread find: every cancel, and actors that take turns.
fn measure<S: Subject>() -> [Findings; 2] {
    let found =
        [examine::<S>(Schedule::enumerated().step_by(sparsely(23))), examine::<S>(seeds(5_000).map(Schedule::seeded))];
    found.iter().for_each(|findings| print!("{findings}"));
    found
}

/// What threads find, which are races: no two runs find the same.
fn measure_threads<S: Subject>() {
    print!("{}", examine::<S>(thread_seeds(50).map(Schedule::seeded_threads)));
}

#[test]
fn crossbeam_channel() {
    measure::<Crossbeam>();
    measure_threads::<Crossbeam>();
}

#[test]
fn flume() {
    measure::<Flume>();
    measure_threads::<Flume>();
}

#[test]
fn async_channel() {
    measure::<AsyncChannel>();
    measure_threads::<AsyncChannel>();
}

/// A cancelled future that receives drops the value it has got, and a future that sends stays with its first waker.
///
/// Its threads run only when asked for (`GREENLIGHT_KANAL_THREADS=1`): `send_option_timeout` may drop a value that it has
/// sent, and whatever a process does after a double drop, a crash or worse, proves nothing.
#[test]
fn kanal() {
    let [cancels, turns] = measure::<Kanal<true>>();
    if std::env::var_os("GREENLIGHT_KANAL_THREADS").is_some() {
        measure_threads::<Kanal<true>>();
    }
    for found in [cancels, turns] {
        assert!(found.times(LostByCancel) > 0 && found.times(Stranded) > 0, "{found}");
    }
    let lost = [(0, Op::RecvAsync), (0, Op::Poll), (1, Op::TrySend), (0, Op::Cancel)];
    assert!(run::<Kanal<true>>(&Schedule::of(Some(1), &lost)).contains(&LostByCancel));
    let stranded = [(0, Op::SendAsync), (0, Op::Poll), (0, Op::PollAnew), (1, Op::TryRecv)];
    assert!(run::<Kanal<true>>(&Schedule::of(Some(0), &stranded)).contains(&Stranded));
}

/// `send_timeout` neither gives its value back nor drops it when the time is up.
#[test]
fn kanal_by_the_sends_that_drop() {
    let found = examine::<Kanal<false>>(seeds(2_000).map(Schedule::seeded));
    print!("{found}");
    assert!(found.times(Leaked) > 0, "{found}");
    assert!(run::<Kanal<false>>(&Schedule::of(Some(0), &[(0, Op::SendTimeout(0))])).contains(&Leaked));
}
