//! `wait(..)` arms of a select: locks, a wait group, permits, notifications, a task's end, a timer, a context. Each of them wins
//! and loses against a channel, and takes nothing along when it loses. On OS threads and on green threads.

use greenlight::{
    Condvar, JoinHandle, Mutex, Notify, RwLock, Semaphore, WaitGroup,
    channel::{Sender, bounded, never, unbounded},
    context::{Cancel, Context, ContextError},
    go, scope, select, select_biased,
    time::Timer,
};
use greenlight_tests::on_workers;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

/// `program`, on this OS thread and on green threads.
fn everywhere(program: impl Fn() + Copy + Send + 'static) {
    program();
    on_workers(program);
}

/// `future`, which tells whenever it was asked and had nothing yet: from then on it waits.
async fn telling<F: Future>(future: F, waits: Sender<()>) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let answer = future.as_mut().poll(context);
        if answer.is_pending() {
            waits.send(()).expect("somebody listens to the end");
        }
        answer
    })
    .await
}

/// The arm waits, and then `fulfil` happens: it wins against a channel that has nothing.
fn wins<F: Future>(arm: F, fulfil: impl FnOnce() + Send) -> F::Output {
    let (waits, waiting) = unbounded();
    scope(|scope| {
        let waiting_there = waiting.clone();
        scope.spawn(move || {
            waiting_there.recv().unwrap();
            fulfil();
        });
        select! {
            recv(never::<()>()) -> _ => unreachable!(),
            wait(telling(arm, waits)) -> output => output,
        }
    })
}

/// The arm waits, and then a value comes.
fn loses<F: Future>(arm: F) {
    let ((waits, waiting), (tx, rx)) = (unbounded(), bounded(0));
    scope(|scope| {
        let waiting_there = waiting.clone();
        scope.spawn(move || {
            waiting_there.recv().unwrap();
            tx.send(7).unwrap();
        });
        select! {
            recv(rx) -> value => assert_eq!(value, Ok(7)),
            wait(telling(arm, waits)) -> _ => unreachable!(),
        }
    });
}

/// Both could happen; the channel comes first in the text.
fn is_passed_over<F: Future>(arm: F) {
    let (tx, rx) = bounded(1);
    tx.send(7).unwrap();
    select_biased! {
        recv(rx) -> value => assert_eq!(value, Ok(7)),
        wait(arm) -> _ => unreachable!(),
    }
}

/// Both could happen; the arm comes first in the text, and the value stays where it is.
fn comes_first<F: Future>(arm: F) -> F::Output {
    let (tx, rx) = bounded(1);
    tx.send(7).unwrap();
    let output = select_biased! {
        wait(arm) -> output => output,
        recv(rx) -> _ => unreachable!(),
    };
    assert_eq!(rx.try_recv(), Ok(7));
    output
}

#[test]
fn a_lock() {
    everywhere(|| {
        let lock = Mutex::new(0);
        let held = lock.lock();
        loses(lock.lock_async());
        *wins(lock.lock_async(), || drop(held)) += 1;
        is_passed_over(lock.lock_async());
        *comes_first(lock.lock_async()) += 1;
        assert_eq!(*lock.try_lock().expect("nobody has it"), 2);
    });
}

#[test]
fn readers_and_writers() {
    everywhere(|| {
        let lock = RwLock::new(0);
        let written = lock.write();
        loses(lock.read_async());
        loses(lock.write_async());
        assert_eq!(*wins(lock.read_async(), || drop(written)), 0);
        let read = lock.read();
        loses(lock.write_async());
        assert_eq!(*lock.try_read().expect("no writer is in line any more"), 0);
        *wins(lock.write_async(), || drop(read)) += 1;
        is_passed_over(lock.write_async());
        is_passed_over(lock.read_async());
        *comes_first(lock.write_async()) += 1;
        assert_eq!(*comes_first(lock.read_async()), 2);
        assert_eq!(*lock.try_write().expect("nobody has it"), 2);
    });
}

#[test]
fn a_wait_group() {
    everywhere(|| {
        let group = WaitGroup::new();
        group.add(2);
        loses(group.wait_async());
        assert_eq!(group.count(), 2);
        group.done();
        wins(group.wait_async(), || group.done());
        is_passed_over(group.wait_async());
        comes_first(group.wait_async());
        group.wait();
    });
}

#[test]
fn permits() {
    everywhere(|| {
        let semaphore = Semaphore::new(3);
        let two = semaphore.acquire(2).unwrap();
        loses(semaphore.acquire_async(2));
        drop(semaphore.try_acquire(1).expect("one is free, and nobody is in line"));
        let won = wins(semaphore.acquire_async(3), || drop(two)).unwrap();
        assert_eq!((won.permits(), semaphore.available_permits()), (3, 0));
        drop(won);
        is_passed_over(semaphore.acquire_async(3));
        assert_eq!(comes_first(semaphore.acquire_async(2)).unwrap().permits(), 2);
        assert_eq!(semaphore.available_permits(), 3);
        let all = semaphore.acquire(3).unwrap();
        assert!(wins(semaphore.acquire_async(1), || semaphore.close()).is_err());
        drop(all);
    });
}

#[test]
fn notifications() {
    everywhere(|| {
        let notify = Notify::new();
        loses(notify.notified());
        assert!(!notify.try_wait());
        wins(notify.notified(), || notify.notify_one());
        assert!(!notify.try_wait(), "it was for the arm");
        wins(notify.notified(), || notify.notify_waiters());
        notify.notify_one();
        is_passed_over(notify.notified());
        comes_first(notify.notified());
        assert!(!notify.try_wait());
    });
}

/// Its arm takes the mutex's guard along, and frees the mutex when it loses.
#[test]
fn a_condition() {
    everywhere(|| {
        let (lock, changed) = (Mutex::new(0), Condvar::new());
        loses(changed.wait_async(lock.lock()));
        let won = wins(changed.wait_async(lock.lock()), || {
            *lock.lock() = 1;
            changed.notify_one();
        });
        assert_eq!(*won, 1);
        is_passed_over(changed.wait_async(won));
        assert_eq!(*lock.try_lock().expect("given back"), 1);
    });
}

#[test]
fn the_end_of_a_task() {
    everywhere(|| {
        let (tx, rx) = bounded(0);
        let mut task = go(move || rx.recv());
        loses(&mut task);
        assert_eq!(wins(&mut task, || tx.send(3).unwrap()).unwrap(), Ok(3));

        let mut ended = go(|| 4);
        while !ended.is_finished() {
            greenlight::yield_now();
        }
        is_passed_over(&mut ended);
        assert_eq!(comes_first(&mut ended).unwrap(), 4);

        // Lost, and joined afterwards; lost as a whole, and the task runs on.
        let (tx, rx) = bounded(0);
        let mut task = go(move || rx.recv());
        loses(&mut task);
        tx.send(5).unwrap();
        assert_eq!(task.join().unwrap(), Ok(5));
        let (tx, rx) = bounded(0);
        loses(go(move || rx.recv()));
        tx.send(6).unwrap();
    });
}

#[test]
fn a_timer() {
    everywhere(|| {
        let timer = Timer::new(Duration::MAX);
        loses(timer.wait_async());
        assert!(timer.stop(), "nobody was told");
        loses(timer.wait_async());
        wins(timer.wait_async(), || _ = timer.reset(Duration::ZERO));
        assert!(!timer.stop(), "the arm was told");
        timer.reset(Duration::ZERO);
        is_passed_over(timer.wait_async());
        comes_first(timer.wait_async());
        assert_eq!(timer.try_wait(), None);
    });
}

#[test]
fn a_context() {
    everywhere(|| {
        let (context, cancel) = Context::background().with_cancel();
        loses(context.done());
        assert!(!context.is_done());
        assert_eq!(wins(context.done(), || cancel.cancel()), ContextError::Cancelled);
        is_passed_over(context.done());
        assert_eq!(comes_first(context.done()), ContextError::Cancelled);
        loses(Context::background().done());
    });
}

/// The lock, the permit and the notification come in the same moment as the value. If the arm loses, they go to the next in line:
/// without them he would sleep for ever.
#[test]
fn what_comes_too_late_goes_to_the_next() {
    everywhere(|| {
        for round in 0..300 {
            let (lock, semaphore, notify) = (Mutex::new(()), Semaphore::new(0), Notify::new());
            let ((tx, rx), held) = (bounded(1), lock.lock());
            scope(|scope| {
                scope.spawn(|| {
                    select_biased! {
                        recv(rx) -> value => assert_eq!(value, Ok(1)),
                        wait(lock.lock_async()) -> _guard => {}
                        wait(semaphore.acquire_async(1)) -> permit => drop(permit.unwrap()),
                        wait(notify.notified()) -> () => notify.notify_one(),
                    }
                });
                scope.spawn(|| drop(lock.lock()));
                scope.spawn(|| drop(semaphore.acquire(1).unwrap()));
                scope.spawn(|| notify.wait());
                if round % 2 == 0 {
                    greenlight::yield_now(); // with one worker, all are in line after it, and the select is first
                }
                tx.send(1).unwrap();
                drop(held);
                semaphore.add_permits(1);
                notify.notify_one();
            });
            assert!(lock.try_lock().is_some());
            assert_eq!(semaphore.available_permits(), 1);
            assert!(!notify.try_wait());
        }
    });
}

/// The same for a condition, whose mutex is held until the arm has lost: it was notified, and the next in line hears of it.
#[test]
fn a_condition_that_comes_too_late_goes_to_the_next() {
    everywhere(|| {
        let ((waiting, changed), (tx, rx), (lost_tx, lost)) = ((Mutex::new(0), Condvar::new()), bounded(1), bounded(1));
        let begin = |before: u32| loop {
            let mut guard = waiting.lock();
            if *guard == before {
                *guard += 1;
                break guard;
            }
            drop(guard);
            greenlight::yield_now();
        };
        scope(|scope| {
            scope.spawn(|| {
                select_biased! {
                    recv(rx) -> value => assert_eq!(value, Ok(7)),
                    wait(changed.wait_async(begin(0))) -> _ => unreachable!(),
                }
                lost_tx.send(()).unwrap();
            });
            scope.spawn(|| drop(changed.wait(begin(1))));
            // Both gave the mutex back in line.
            let guard = begin(2);
            changed.notify_one();
            tx.send(7).unwrap();
            lost.recv().unwrap();
            drop(guard);
        });
    });
}

/// One of each kind, none of which can happen.
struct All {
    lock: Mutex<()>,
    written: RwLock<()>,
    read: RwLock<()>,
    group: WaitGroup,
    permits: Semaphore,
    notify: Notify,
    task: JoinHandle<()>,
    end_task: Sender<()>,
    timer: Timer,
    context: Context,
    cancel: Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Receive,
    Send,
    Lock,
    Read,
    Write,
    Group,
    Permit,
    Notified,
    Joined,
    Timer,
    Done,
}

const KINDS: [Kind; 11] = [
    Kind::Receive,
    Kind::Send,
    Kind::Lock,
    Kind::Read,
    Kind::Write,
    Kind::Group,
    Kind::Permit,
    Kind::Notified,
    Kind::Joined,
    Kind::Timer,
    Kind::Done,
];

impl All {
    fn new() -> Self {
        let group = WaitGroup::new();
        group.add(1);
        let (context, cancel) = Context::background().with_cancel();
        let (end_task, end) = bounded(0);
        Self {
            lock: Mutex::new(()),
            written: RwLock::new(()),
            read: RwLock::new(()),
            group,
            permits: Semaphore::new(0),
            notify: Notify::new(),
            task: go(move || end.recv().unwrap()),
            end_task,
            timer: Timer::new(Duration::MAX),
            context,
            cancel,
        }
    }
}

/// All kinds of arms in one select: it is the one that can happen, and all others are as they were.
#[test]
fn all_kinds_in_one_select() {
    everywhere(|| {
        for kind in KINDS {
            let All { lock, written, read, group, permits, notify, mut task, end_task, timer, context, cancel } =
                All::new();
            let ((in_tx, in_rx), (out_tx, out_rx)) = (bounded(0), bounded(0));
            let (waits, waiting) = unbounded();
            let mut held = (Some(lock.lock()), Some(written.write()), Some(read.read()));
            let came = scope(|scope| {
                scope.spawn(|| {
                    waiting.recv().unwrap();
                    match kind {
                        Kind::Receive => in_tx.send(()).unwrap(),
                        Kind::Send => out_rx.recv().unwrap(),
                        Kind::Lock => held.0 = None,
                        Kind::Read => held.1 = None,
                        Kind::Write => held.2 = None,
                        Kind::Group => group.done(),
                        Kind::Permit => permits.add_permits(1),
                        Kind::Notified => notify.notify_one(),
                        Kind::Joined => end_task.send(()).unwrap(),
                        Kind::Timer => _ = timer.reset(Duration::ZERO),
                        Kind::Done => cancel.cancel(),
                    }
                });
                select! {
                    recv(in_rx) -> value => { value.unwrap(); Kind::Receive }
                    send(out_tx, ()) -> sent => { sent.unwrap(); Kind::Send }
                    wait(lock.lock_async()) -> _guard => Kind::Lock,
                    wait(written.read_async()) -> _guard => Kind::Read,
                    wait(read.write_async()) -> _guard => Kind::Write,
                    wait(group.wait_async()) -> () => Kind::Group,
                    wait(permits.acquire_async(1)) -> permit => { permit.unwrap().forget(); Kind::Permit }
                    wait(notify.notified()) -> () => Kind::Notified,
                    wait(&mut task) -> result => { result.unwrap(); Kind::Joined }
                    wait(timer.wait_async()) -> _ => Kind::Timer,
                    wait(telling(context.done(), waits)) -> why => { assert_eq!(why, ContextError::Cancelled); Kind::Done }
                }
            });
            assert_eq!(came, kind);

            // Nothing was taken but what came.
            drop(held);
            assert!(lock.try_lock().is_some() && written.try_write().is_some() && read.try_write().is_some());
            assert!(in_tx.try_send(()).is_err() && out_rx.try_recv().is_err(), "no arm is in line any more");
            assert_eq!(group.count(), usize::from(kind != Kind::Group));
            permits.add_permits(1);
            assert_eq!(permits.available_permits(), 1);
            assert!(!notify.try_wait());
            assert_eq!(timer.stop(), kind != Kind::Timer);
            assert_eq!(context.is_done(), kind == Kind::Done);
            if kind != Kind::Joined {
                end_task.send(()).unwrap();
                task.join().unwrap();
            }
        }
    });
}
