//! The hot paths. Each is checked while it is counted: one that does nothing would take no instructions at all.

use greenlight::{
    Mutex, Runtime, RwLock, Semaphore, WaitGroup,
    channel::{Receiver, Sender, bounded, oneshot, unbounded},
    go, go_async, select, yield_now,
};
use std::hint::black_box;

/// What is counted.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    /// How many times as often as the others: a short path takes no longer for it.
    pub(crate) factor: u64,
    /// Goes down it so many times.
    pub(crate) run: fn(u64),
}

pub(crate) const PATHS: &[Path] = &[
    Path { name: "yield", factor: 1, run: |times| on_worker(times, yields) },
    Path { name: "channel, capacity 1", factor: 1, run: |times| pairs(times, bounded(1)) },
    Path { name: "channel, capacity 128", factor: 1, run: |times| pairs(times, bounded(128)) },
    Path { name: "channel, unbounded", factor: 1, run: |times| pairs(times, unbounded()) },
    Path { name: "channel, rendezvous", factor: 1, run: |times| on_worker(times, handovers) },
    Path { name: "try_recv, empty", factor: 16, run: try_recvs },
    Path { name: "select, 2 ready", factor: 1, run: selects },
    Path { name: "oneshot", factor: 1, run: oneshots },
    Path { name: "mutex", factor: 16, run: mutex },
    Path { name: "rwlock, read", factor: 16, run: |times| reads(times, RwLock::new(1)) },
    Path { name: "rwlock, read by many", factor: 16, run: |times| reads(times, read_by_many()) },
    Path { name: "semaphore", factor: 16, run: permits },
    Path { name: "wait group", factor: 16, run: groups },
    Path { name: "go and join", factor: 1, run: |times| on_worker(times, joins) },
    Path { name: "go_async and join", factor: 1, run: |times| on_worker(times, joins_async) },
];

/// On the one worker of a runtime: what switches. What never waits runs without one, because a worker's monitor would find it
/// slow under valgrind, and ask it to give way now and then. Nor would it do with a spare worker, which starts where the machine is
/// busy: then there is somebody to look for.
fn on_worker(times: u64, path: impl FnOnce(u64) + Send + 'static) {
    let runtime = Runtime::builder().workers(1).spare_workers(0).build().expect("a runtime");
    runtime.run(move || path(times));
}

/// Two tasks in turn, each of which yields half of the times.
fn yields(times: u64) {
    let tasks = [(); 2].map(|()| go(move || (0..times / 2).for_each(|_| yield_now())));
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
}

fn pairs(times: u64, (tx, rx): (Sender<u64>, Receiver<u64>)) {
    for number in 0..times {
        black_box(&tx).send(number).expect("a receiver");
        assert_eq!(black_box(&rx).recv(), Ok(number));
    }
}

/// Each message is a wait, a wake-up and a switch.
fn handovers(times: u64) {
    let (tx, rx) = bounded(0);
    let sender = go(move || (0..times).for_each(|number| tx.send(number).expect("a receiver")));
    assert_eq!(rx.iter().sum::<u64>(), times * (times - 1) / 2);
    sender.join().expect("no panic");
}

fn try_recvs(times: u64) {
    let (_tx, rx) = bounded::<u64>(128);
    (0..times).for_each(|_| assert!(black_box(&rx).try_recv().is_err()));
}

fn selects(times: u64) {
    let ((tx, rx), (other_tx, other_rx)) = (bounded(1), bounded(1));
    tx.send(1).expect("a receiver");
    other_tx.send(1).expect("a receiver");
    let mut sum = 0;
    for _ in 0..times {
        select! {
            recv(rx) -> one => {
                sum += one.expect("a sender");
                tx.send(1).expect("a receiver");
            },
            recv(other_rx) -> one => {
                sum += one.expect("a sender");
                other_tx.send(1).expect("a receiver");
            },
        }
    }
    assert_eq!(sum, times);
}

fn oneshots(times: u64) {
    for number in 0..times {
        let (tx, rx) = oneshot::channel();
        tx.send(number).expect("a receiver");
        assert_eq!(rx.recv(), Ok(number));
    }
}

fn mutex(times: u64) {
    let mutex = Mutex::new(0);
    (0..times).for_each(|_| *black_box(&mutex).lock() += 1);
    assert_eq!(mutex.into_inner(), times);
}

fn reads(times: u64, lock: RwLock<u64>) {
    assert_eq!((0..times).map(|_| *black_box(&lock).read()).sum::<u64>(), times);
}

/// Readers have met so often that they do not stand in the lock's word any more.
fn read_by_many() -> RwLock<u64> {
    let lock = RwLock::new(1);
    let another = lock.read();
    (0..1_000).for_each(|_| drop(lock.read()));
    drop(another);
    lock
}

fn permits(times: u64) {
    let semaphore = Semaphore::new(1);
    (0..times).for_each(|_| drop(black_box(&semaphore).acquire(1).expect("never closed")));
}

fn groups(times: u64) {
    let group = WaitGroup::new();
    for _ in 0..times {
        black_box(&group).add(1);
        black_box(&group).done();
    }
    group.wait();
}

fn joins(times: u64) {
    (0..times).for_each(|number| assert_eq!(go(move || number).join().expect("no panic"), number));
}

fn joins_async(times: u64) {
    (0..times).for_each(|number| assert_eq!(go_async(async move { number }).join().expect("no panic"), number));
}
