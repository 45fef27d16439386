//! may: coroutines with stacks.

use super::{Peer, blocking};
use may::{
    coroutine::{JoinHandle, sleep, yield_now},
    go,
    net::{TcpListener, TcpStream},
    sync::{Mutex, RwLock, WaitGroup, mpmc, mpsc, spsc},
};
use std::{sync::Once, time::Duration};

const NO_SELECT: &str = "may's `select!` runs each arm in a coroutine, and one that loses may have taken a value";
const TOO_MANY: &str = "a stack is a mapping of its own: at most about 30,000 coroutines";
const UNBOUNDED: &str = "may has no bounded channel: unbounded";

pub(crate) const MAY: Peer = Peer {
    name: "may",
    about: "may coroutines",
    workloads: blocking::workload::<May>,
    absent: &[
        ("select2", NO_SELECT),
        ("select8", NO_SELECT),
        ("skynet", TOO_MANY),
        ("million", TOO_MANY),
        ("timers", TOO_MANY),
        // The chain of numbers grows faster than it is taken, without a bound.
        ("sieve", UNBOUNDED),
    ],
    lighter: &[
        ("pingpong", UNBOUNDED),
        ("unbuf", UNBOUNDED),
        ("spsc", UNBOUNDED),
        ("mpsc", UNBOUNDED),
        ("mpmc", UNBOUNDED),
        ("mpmc100", UNBOUNDED),
        ("unbuf100", UNBOUNDED),
        ("chan_uncontended", UNBOUNDED),
        ("try_empty", UNBOUNDED),
        ("pipeline", UNBOUNDED),
        ("pool", UNBOUNDED),
    ],
};

/// `$more` makes another sender, `$many` another receiver.
macro_rules! channels {
    ($name:ident, $library:ident, $more:expr, $many:expr) => {
        struct $name;

        impl blocking::Channels for $name {
            type Sender<T: Send + 'static> = $library::Sender<T>;
            type Receiver<T: Send + 'static> = $library::Receiver<T>;

            fn channel<T: Send + 'static>(_: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $library::channel()
            }

            fn sender<T: Send + 'static>(tx: &Self::Sender<T>) -> Self::Sender<T> {
                $more(tx)
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
                rx.try_recv().ok()
            }

            fn select(_: &[Self::Receiver<u64>]) -> u64 {
                unreachable!("{NO_SELECT}")
            }
        }
    };
}

channels!(One, spsc, |_| unreachable!("one sender"), |_| unreachable!("one receiver"));
channels!(ToOne, mpsc, Clone::clone, |_| unreachable!("one receiver"));
channels!(Many, mpmc, Clone::clone, Clone::clone);

struct May;

impl blocking::Locks for May {
    type Mutex = Mutex<u64>;
    type RwLock = RwLock<u64>;

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    #[inline]
    fn increment(mutex: &Mutex<u64>) {
        *mutex.lock().expect("no panic") += 1;
    }

    fn value(mutex: &Mutex<u64>) -> u64 {
        *mutex.lock().expect("no panic")
    }

    fn rw_lock(value: u64) -> RwLock<u64> {
        RwLock::new(value)
    }

    #[inline]
    fn read(lock: &RwLock<u64>) -> u64 {
        *lock.read().expect("no panic")
    }

    fn add_and_done(times: usize) {
        let group = WaitGroup::new();
        for _ in 0..times {
            drop(group.clone());
        }
        group.wait();
    }
}

blocking::listener!(TcpListener, TcpStream);

impl blocking::Tasks for May {
    type OneToOne = One;
    type ManyToOne = ToOne;
    type ManyToMany = Many;
    type Locks = Self;
    type Handle<R: Send + 'static> = JoinHandle<R>;
    type Listener = TcpListener;

    fn run<R: Send + 'static>(workers: usize, main: impl FnOnce() -> R + Send + 'static) -> R {
        static START: Once = Once::new();
        START.call_once(|| _ = may::config().set_workers(workers));
        go!(main).join().expect("no panic")
    }

    #[inline]
    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        go!(task)
    }

    #[inline]
    fn join<R: Send + 'static>(handle: JoinHandle<R>) -> R {
        handle.join().expect("no panic")
    }

    fn spawn_and_wait(tasks: usize) {
        let group = WaitGroup::new();
        for _ in 0..tasks {
            let group = group.clone();
            go!(move || drop(group));
        }
        group.wait();
    }

    #[inline]
    fn yield_now() {
        yield_now();
    }

    fn sleep(time: Duration) {
        sleep(time);
    }

    /// It has nothing for them: they block the worker.
    fn blocking(call: impl FnOnce() + Send + 'static) {
        call();
    }
}
