//! Those of the programs that take more than a line.

use greenlight::{
    Barrier, Condvar, JoinHandle, Lazy, Mutex, OnceCell, Runtime, RwLock, Semaphore, WaitGroup, blocking,
    channel::{Receiver, StaticChannel, bounded, never, oneshot, unbounded},
    context::Context,
    go, go_async, go_near,
    group::{Group, Pool, SingleFlight},
    run, scope,
    task::Builder,
    task_local, yield_now,
};
use std::{
    sync::{Arc, LazyLock},
    thread,
};

pub(super) static FIXED: StaticChannel<u32, 1> = StaticChannel::new();
pub(super) static FLIGHTS: LazyLock<SingleFlight<u32, u32>> = LazyLock::new(SingleFlight::new);
pub(super) static RECURSIVE: Lazy<u32> = Lazy::new(|| *Lazy::force(&RECURSIVE) + 1);

/// Two tasks; each has done its own half before either goes on.
pub(super) fn crosswise<T: Send + 'static>(
    one: impl FnOnce(Meeting) -> T + Send + 'static,
    other: impl FnOnce(Meeting) -> T + Send + 'static,
) {
    let meeting = Arc::new(Barrier::new(2));
    let there = Meeting(meeting.clone());
    go(move || other(there));
    one(Meeting(meeting));
}

pub(super) struct Meeting(Arc<Barrier>);

impl Meeting {
    fn meet(&self) {
        self.0.wait();
    }
}

pub(super) fn oneshots_crosswise() {
    let ((tx, rx), (other_tx, other)) = (oneshot::channel::<u32>(), oneshot::channel());
    go(move || tx.send(other.recv().unwrap()).unwrap());
    other_tx.send(rx.recv().unwrap()).unwrap();
}

/// The consumer ends when all senders are gone; main keeps one while it waits for the consumer.
pub(super) fn a_clone_too_many() {
    let ((tx, rx), (done_tx, done)) = (unbounded(), bounded(0));
    let own = tx.clone();
    go(move || own.send(1));
    go(move || {
        let sum: u32 = rx.iter().sum();
        done_tx.send(sum)
    });
    assert_eq!(done.recv(), Ok(1));
    drop(tx);
}

pub(super) fn both_send_first() {
    let ((tx, rx), (other_tx, other)) = (bounded(0), bounded(0));
    go(move || (tx.send(1), other.recv()));
    let _ = (other_tx.send(2), rx.recv());
}

pub(super) fn both_receive_first() {
    let ((tx, rx), (other_tx, other)) = (bounded(0), bounded(0));
    go(move || (other.recv(), tx.send(1)));
    let _ = (rx.recv(), other_tx.send(2));
}

pub(super) fn a_ring_of_ten() {
    let (first_tx, first) = bounded::<u32>(0);
    let mut last = first.clone();
    for _ in 0..10 {
        let (tx, rx) = bounded(0);
        let before: Receiver<u32> = std::mem::replace(&mut last, rx);
        go(move || tx.send(before.recv().unwrap()));
    }
    first_tx.send(last.recv().unwrap()).unwrap();
}

pub(super) fn a_thousand_receivers() {
    let ((_tx, rx), group) = (bounded::<u32>(0), WaitGroup::new());
    for _ in 0..1000 {
        let rx = rx.clone();
        group.go(move || rx.recv());
    }
    group.wait();
}

pub(super) fn locks_in_opposite_order() {
    let locks = Arc::new((Mutex::new(()), Mutex::new(())));
    let others = locks.clone();
    crosswise(
        move |meeting| {
            let _first = locks.0.lock();
            meeting.meet();
            drop(locks.1.lock());
        },
        move |meeting| {
            let _first = others.1.lock();
            meeting.meet();
            drop(others.0.lock());
        },
    );
}

pub(super) fn philosophers() {
    let forks: Arc<[Mutex<()>; 3]> = Arc::default();
    let all_sit = Arc::new(Barrier::new(3));
    let dine = move |seat: usize| {
        let _left = forks[seat].lock();
        all_sit.wait();
        let _right = forks[(seat + 1) % 3].lock();
    };
    let (second, third) = (dine.clone(), dine.clone());
    go(move || second(1));
    go(move || third(2));
    dine(0);
}

pub(super) fn a_lock_held_while_receiving() {
    let ((tx, rx), lock) = (bounded(0), Arc::new(Mutex::new(0)));
    let guard = lock.lock();
    let other = lock.clone();
    go(move || tx.send(*other.lock()));
    let _ = rx.recv();
    drop(guard);
}

pub(super) fn two_readers_who_write() {
    let lock = Arc::new(RwLock::new(()));
    let other = lock.clone();
    let upgrade = |lock: Arc<RwLock<()>>, meeting: Meeting| {
        let _read = lock.read();
        meeting.meet();
        drop(lock.write());
    };
    crosswise(move |meeting| upgrade(lock, meeting), move |meeting| upgrade(other, meeting));
}

/// A reader who comes now would keep the writer waiting: he waits, too, and the first reader waits for him. (One who has a
/// guard himself is told so by a panic.)
pub(super) fn a_reader_behind_a_writer() {
    let lock = Arc::new(RwLock::new(()));
    let _first = lock.read();
    let (other, another) = (lock.clone(), lock.clone());
    go_near(move || drop(other.write()));
    yield_now();
    let second = go_near(move || {
        // Four times a running reader may come in first.
        for _ in 0..9 {
            drop(another.read());
        }
    });
    second.join().unwrap();
}

pub(super) fn a_permit_that_was_forgotten() {
    let permits = Semaphore::new(1);
    permits.acquire(1).unwrap().forget();
    let _ = permits.acquire(1);
}

pub(super) fn permits_half_each() {
    let permits = Arc::new(Semaphore::new(2));
    let other = permits.clone();
    let take = |permits: Arc<Semaphore>, meeting: Meeting| {
        let _half = permits.acquire(1).unwrap();
        meeting.meet();
        drop(permits.acquire(1));
    };
    crosswise(move |meeting| take(permits, meeting), move |meeting| take(other, meeting));
}

pub(super) fn a_member_waits_for_its_group() {
    let group = WaitGroup::new();
    let own = group.clone();
    group.go(move || own.wait());
    group.wait();
}

pub(super) fn a_barrier_short_by_one() {
    let barrier = Arc::new(Barrier::new(3));
    let other = barrier.clone();
    go(move || other.wait());
    barrier.wait();
}

pub(super) fn a_condition_told_too_early() {
    let (lock, told) = (Mutex::new(()), Condvar::new());
    told.notify_all();
    drop(told.wait(lock.lock()));
}

pub(super) fn two_initialisers_crosswise() {
    let cells: Arc<(OnceCell<u32>, OnceCell<u32>)> = Arc::default();
    let others = cells.clone();
    crosswise(
        move |meeting| {
            *cells.0.get_or_init(|| {
                meeting.meet();
                *cells.1.get_or_init(|| 1)
            })
        },
        move |meeting| {
            *others.1.get_or_init(|| {
                meeting.meet();
                *others.0.get_or_init(|| 1)
            })
        },
    );
}

pub(super) fn joins_in_a_circle() {
    let (to_first, from_main) = bounded::<JoinHandle<()>>(1);
    let first = go(move || from_main.recv().unwrap().join().unwrap());
    let second = go(move || first.join().unwrap());
    to_first.send(second).unwrap();
    let _ = never::<u32>().recv();
}

pub(super) fn joins_itself() {
    let (tx, rx) = bounded::<JoinHandle<()>>(1);
    let (handle, done) = (go(move || rx.recv().unwrap().join().unwrap()), go(|| _ = never::<u32>().recv()));
    tx.send(handle).unwrap();
    done.join().unwrap();
}

pub(super) fn a_child_of_a_scope() {
    let (tx, rx) = bounded::<u32>(0);
    scope(|s| {
        s.spawn(|| rx.recv());
    });
    drop(tx);
}

pub(super) fn children_with_locks() {
    let (locks, meeting) = ((Mutex::new(()), Mutex::new(())), Barrier::new(2));
    scope(|s| {
        s.spawn(|| {
            let _first = locks.0.lock();
            meeting.wait();
            drop(locks.1.lock());
        });
        s.spawn(|| {
            let _first = locks.1.lock();
            meeting.wait();
            drop(locks.0.lock());
        });
    });
}

pub(super) fn a_destructor_of_a_local() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = never::<u32>().recv();
        }
    }
    task_local!(
        static LOCAL: Waits = Waits;
    );
    go(|| LOCAL.with(|_| ())).join().unwrap();
}

pub(super) fn a_member_waits_for_its_own_group() {
    let group = Group::collect_all(&Context::background());
    let own = group.clone();
    group.go(move || drop(own.wait()));
    group.wait();
}

pub(super) fn a_place_in_a_full_group() {
    let group = Group::collect_all(&Context::background());
    group.set_limit(1);
    let own = group.clone();
    group.go(move || own.go(|| ()));
    group.wait();
}

pub(super) fn a_job_waits_for_its_own_pool() {
    let pool = Arc::new(Pool::new(1, 1));
    let own = pool.clone();
    drop(pool.submit(move || own.submit(|| 1).join().unwrap()).join());
}

pub(super) fn futures_crosswise() {
    let ((tx, rx), (other_tx, other)) = (bounded::<u32>(0), bounded::<u32>(0));
    go_async(async move {
        let value = other.recv_async().await.unwrap();
        tx.send_async(value).await
    });
    let second = go_async(async move {
        let value = rx.recv_async().await.unwrap();
        other_tx.send_async(value).await
    });
    let _ = second.join();
}

pub(super) fn a_future_that_locks_twice() {
    let lock = Arc::new(Mutex::new(()));
    let twice = go_async(async move {
        let _first = lock.lock_async().await;
        drop(lock.lock_async().await);
    });
    let _ = twice.join();
}

pub(super) fn green_and_stackless_crosswise() {
    let ((tx, rx), (other_tx, other)) = (bounded::<u32>(0), bounded::<u32>(0));
    go_async(async move {
        let value = other.recv_async().await.unwrap();
        tx.send_async(value).await
    });
    other_tx.send(rx.recv().unwrap()).unwrap();
}

pub(super) fn a_blocking_call_that_waits_for_us() {
    let (_tx, rx) = bounded::<u32>(0);
    drop(blocking(move || rx.recv()).join());
}

pub(super) fn an_os_thread_that_waits_for_us() {
    let ((tx, rx), (back_tx, back)) = (bounded::<u32>(0), bounded::<u32>(0));
    thread::spawn(move || rx.iter().for_each(|value| back_tx.send(value).unwrap()));
    let _ = back.recv();
    drop(tx);
}

pub(super) fn an_os_thread_that_wants_our_lock() {
    let ((tx, rx), lock) = (bounded(0), Arc::new(Mutex::new(1)));
    let _guard = lock.lock();
    let other = lock.clone();
    thread::spawn(move || tx.send(*other.lock()));
    let _ = rx.recv();
}

pub(super) fn two_runtimes_crosswise() {
    let ((tx, rx), (other_tx, other)) = (bounded::<u32>(0), bounded::<u32>(0));
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.go(move || tx.send(other.recv().unwrap()));
    other_tx.send(rx.recv().unwrap()).unwrap();
}

pub(super) fn the_global_runtime_beside() {
    thread::spawn(|| run(|| _ = never::<u32>().recv()));
    let _ = never::<u32>().recv();
}

pub(super) fn a_runtime_that_was_dropped() {
    let (tx, rx) = bounded::<u32>(0);
    Runtime::builder().workers(2).build().unwrap().go(move || rx.recv());
    let _ = never::<u32>().recv();
    drop(tx);
}

pub(super) fn names() {
    let named = Builder::new().name("a consumer").spawn(|| never::<u32>().recv());
    let _ = named.join();
}
