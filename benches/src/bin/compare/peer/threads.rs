//! OS threads, with each of the channel libraries, and the locks of std and parking_lot.

use super::{Peer, blocking, greenlight::Ours};
use crate::process;
use std::{
    marker::PhantomData,
    net::{TcpListener, TcpStream},
    sync::{Mutex, RwLock, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

const TOO_MANY: &str = "too many threads";
const NO_SELECT: &str = "it has no select";
const CHANNELS_ONLY: &str = "no channel in it: as threads+crossbeam";

/// What all of them cannot do, and what this one cannot.
macro_rules! peer {
    ($const:ident, $name:literal, $about:literal, $channels:ident, $locks:ident, [$($absent:expr),*], [$($lighter:expr),*]) => {
        pub(crate) const $const: Peer = Peer {
            name: $name,
            about: $about,
            workloads: blocking::workload::<Threads<$channels, $locks>>,
            absent: &[("skynet", TOO_MANY), ("fib", TOO_MANY), ("million", TOO_MANY), ("timers", TOO_MANY), $($absent),*],
            lighter: &[$($lighter),*],
        };
    };
}

peer!(GREENLIGHT, "threads+greenlight", "OS threads, our channels and locks", Ours, Ours, [], []);
peer!(CROSSBEAM, "threads+crossbeam", "OS threads, crossbeam-channel, parking_lot", Crossbeam, ParkingLot, [], []);
peer!(
    FLUME,
    "threads+flume",
    "OS threads, flume",
    Flume,
    ParkingLot,
    [
        ("select2", NO_SELECT),
        ("select8", NO_SELECT),
        ("yield", CHANNELS_ONLY),
        ("spawn", CHANNELS_ONLY),
        ("spawn_join", CHANNELS_ONLY),
        ("mutex1", CHANNELS_ONLY),
        ("mutex8", CHANNELS_ONLY),
        ("rwread", CHANNELS_ONLY),
        ("wg", CHANNELS_ONLY),
        ("hog", CHANNELS_ONLY),
        ("blocking", CHANNELS_ONLY),
        ("echo", CHANNELS_ONLY)
    ],
    []
);
peer!(
    KANAL,
    "threads+kanal",
    "OS threads, kanal",
    Kanal,
    ParkingLot,
    [
        ("select2", NO_SELECT),
        ("select8", NO_SELECT),
        ("yield", CHANNELS_ONLY),
        ("spawn", CHANNELS_ONLY),
        ("spawn_join", CHANNELS_ONLY),
        ("mutex1", CHANNELS_ONLY),
        ("mutex8", CHANNELS_ONLY),
        ("rwread", CHANNELS_ONLY),
        ("wg", CHANNELS_ONLY),
        ("hog", CHANNELS_ONLY),
        ("blocking", CHANNELS_ONLY),
        ("echo", CHANNELS_ONLY)
    ],
    []
);
peer!(
    STD,
    "threads+std",
    "OS threads, std",
    Std,
    StdLocks,
    [
        ("mpmc", "std's channels have one receiver"),
        ("mpmc100", "std's channels have one receiver"),
        ("unbuf100", "std's channels have one receiver"),
        ("pool", "std's channels have one receiver"),
        ("select2", NO_SELECT),
        ("select8", NO_SELECT),
        ("yield", CHANNELS_ONLY),
        ("spawn", CHANNELS_ONLY),
        ("spawn_join", CHANNELS_ONLY),
        ("wg", "std has no wait group"),
        ("hog", CHANNELS_ONLY),
        ("blocking", CHANNELS_ONLY),
        ("echo", CHANNELS_ONLY)
    ],
    []
);

/// The `select!` of greenlight and of crossbeam-channel: the same words.
macro_rules! select {
    ($select:ident, $receivers:ident) => {{
        let value = match $receivers {
            [a, b] => $select! { recv(a) -> value => value, recv(b) -> value => value },
            [a, b, c, d, e, f, g, h] => $select! {
                recv(a) -> value => value,
                recv(b) -> value => value,
                recv(c) -> value => value,
                recv(d) -> value => value,
                recv(e) -> value => value,
                recv(f) -> value => value,
                recv(g) -> value => value,
                recv(h) -> value => value,
            },
            _ => unreachable!("2 or 8 receivers"),
        };
        value.expect("the senders live as long as the selects")
    }};
}
pub(super) use select;

macro_rules! channels {
    ($name:ident, $sender:path, $receiver:path, $channel:expr, $many:expr, $try:expr, $select:expr) => {
        struct $name;

        impl blocking::Channels for $name {
            type Sender<T: Send + 'static> = $sender;
            type Receiver<T: Send + 'static> = $receiver;

            fn channel<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $channel(capacity)
            }

            fn sender<T: Send + 'static>(tx: &Self::Sender<T>) -> Self::Sender<T> {
                tx.clone()
            }

            fn receiver<T: Send + 'static>(rx: &Self::Receiver<T>) -> Self::Receiver<T> {
                $many(rx)
            }

            #[inline(always)]
            fn send<T: Send + 'static>(tx: &Self::Sender<T>, value: T) -> bool {
                tx.send(value).is_ok()
            }

            #[inline(always)]
            fn recv<T: Send + 'static>(rx: &Self::Receiver<T>) -> Option<T> {
                rx.recv().ok()
            }

            #[inline(always)]
            fn try_recv<T: Send + 'static>(rx: &Self::Receiver<T>) -> Option<T> {
                $try(rx.try_recv())
            }

            #[inline]
            fn select(receivers: &[Self::Receiver<u64>]) -> u64 {
                $select(receivers)
            }
        }
    };
}

fn no_select<R>(_: &[R]) -> u64 {
    unreachable!("{NO_SELECT}")
}

fn crossbeam_select(receivers: &[crossbeam_channel::Receiver<u64>]) -> u64 {
    use crossbeam_channel::select as crossbeam;
    select!(crossbeam, receivers)
}

channels!(
    Crossbeam,
    crossbeam_channel::Sender<T>,
    crossbeam_channel::Receiver<T>,
    crossbeam_channel::bounded,
    Clone::clone,
    Result::ok,
    crossbeam_select
);
channels!(Flume, flume::Sender<T>, flume::Receiver<T>, flume::bounded, Clone::clone, Result::ok, no_select);
channels!(
    Kanal,
    kanal::Sender<T>,
    kanal::Receiver<T>,
    kanal::bounded,
    Clone::clone,
    |result: Result<Option<T>, _>| result.ok().flatten(),
    no_select
);
channels!(
    Std,
    mpsc::SyncSender<T>,
    mpsc::Receiver<T>,
    mpsc::sync_channel,
    |_| unreachable!("one receiver"),
    Result::ok,
    no_select
);

struct ParkingLot;

impl blocking::Locks for ParkingLot {
    type Mutex = parking_lot::Mutex<u64>;
    type RwLock = parking_lot::RwLock<u64>;

    fn mutex() -> Self::Mutex {
        parking_lot::Mutex::new(0)
    }

    #[inline]
    fn increment(mutex: &Self::Mutex) {
        *mutex.lock() += 1;
    }

    fn value(mutex: &Self::Mutex) -> u64 {
        *mutex.lock()
    }

    fn rw_lock(value: u64) -> Self::RwLock {
        parking_lot::RwLock::new(value)
    }

    #[inline]
    fn read(lock: &Self::RwLock) -> u64 {
        *lock.read()
    }

    fn add_and_done(times: usize) {
        let group = crossbeam_utils::sync::WaitGroup::new();
        for _ in 0..times {
            drop(group.clone());
        }
        group.wait();
    }
}

struct StdLocks;

impl blocking::Locks for StdLocks {
    type Mutex = Mutex<u64>;
    type RwLock = RwLock<u64>;

    fn mutex() -> Self::Mutex {
        Mutex::new(0)
    }

    #[inline]
    fn increment(mutex: &Self::Mutex) {
        *mutex.lock().expect("no panic") += 1;
    }

    fn value(mutex: &Self::Mutex) -> u64 {
        *mutex.lock().expect("no panic")
    }

    fn rw_lock(value: u64) -> Self::RwLock {
        RwLock::new(value)
    }

    #[inline]
    fn read(lock: &Self::RwLock) -> u64 {
        *lock.read().expect("no panic")
    }

    fn add_and_done(_: usize) {
        unreachable!("absent")
    }
}

blocking::listener!(TcpListener, TcpStream);

/// OS threads with the channels `C` and the locks `L`. They have no workers: with fewer than there are CPUs, the process is
/// confined to so many of those.
struct Threads<C, L>(PhantomData<(C, L)>);

impl<C: blocking::Channels, L: blocking::Locks> blocking::Tasks for Threads<C, L> {
    type OneToOne = C;
    type ManyToOne = C;
    type ManyToMany = C;
    type Locks = L;
    type Handle<R: Send + 'static> = JoinHandle<R>;
    type Listener = TcpListener;

    fn run<R: Send + 'static>(workers: usize, main: impl FnOnce() -> R + Send + 'static) -> R {
        process::confine(workers);
        main()
    }

    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        thread::spawn(task)
    }

    fn join<R: Send + 'static>(handle: JoinHandle<R>) -> R {
        handle.join().expect("no panic")
    }

    fn spawn_and_wait(tasks: usize) {
        let group = crossbeam_utils::sync::WaitGroup::new();
        for _ in 0..tasks {
            let group = group.clone();
            thread::spawn(move || drop(group));
        }
        group.wait();
    }

    fn yield_now() {
        thread::yield_now();
    }

    fn sleep(time: Duration) {
        thread::sleep(time);
    }

    fn blocking(call: impl FnOnce() + Send + 'static) {
        call();
    }
}
