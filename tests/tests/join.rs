//! The handle of a task: waited for, awaited, selected, with a time limit; from green threads, OS threads and foreign executors.

use futures_executor::block_on;
use greenlight::{
    JoinHandle,
    channel::{bounded, never},
    go, run, select, sleep, yield_now,
};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

/// The task ends at some time around that of the wait, whoever waits and however.
fn task(i: usize) -> JoinHandle<usize> {
    go(move || {
        (0..i % 4).for_each(|_| yield_now());
        if i % 5 == 4 {
            sleep(Duration::from_micros(i as u64 % 97));
        }
        i
    })
}

fn select_by_value(i: usize) -> usize {
    let nothing = never::<()>();
    select! {
        recv(nothing) -> _ => unreachable!(),
        wait(task(i)) -> result => result.unwrap(),
    }
}

fn select_by_reference(i: usize) -> usize {
    let mut task = task(i);
    let (tx, rx) = bounded::<()>(0);
    for _ in 0..3 {
        select! {
            wait(&mut task) -> result => return result.unwrap(),
            recv(rx) -> _ => unreachable!(),
            default(Duration::from_micros(20)) => {}
        }
    }
    drop(tx);
    task.join().unwrap()
}

fn with_a_limit(i: usize) -> usize {
    let mut task = task(i);
    loop {
        if let Some(result) = task.join_timeout(Duration::from_micros(i as u64 % 50)) {
            return result.unwrap();
        }
        yield_now(); // so short a limit may be over before it begins
    }
}

const WAYS: [fn(usize) -> usize; 5] =
    [|i| task(i).join().unwrap(), |i| block_on(task(i)).unwrap(), select_by_value, select_by_reference, with_a_limit];

#[test]
fn every_way_to_wait_brings_the_result_on_os_threads() {
    let threads: Vec<_> =
        WAYS.into_iter().map(|way| thread::spawn(move || (0..300).for_each(|i| assert_eq!(way(i), i)))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn every_way_to_wait_brings_the_result_on_green_threads() {
    greenlight_tests::on_workers(|| {
        // A foreign executor would stop the worker, on which the task may have to run.
        let ways = [WAYS[0], WAYS[2], WAYS[3], WAYS[4]];
        let tasks: Vec<_> =
            ways.into_iter().map(|way| go(move || (0..300).for_each(|i| assert_eq!(way(i), i)))).collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A waker that counts, and its count.
fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (count.clone(), Waker::from(count))
}

fn poll<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, greenlight::JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

#[test]
fn the_end_wakes_the_last_waker_and_no_other_is_kept() {
    let (tx, rx) = bounded::<()>(0);
    let mut handle = go(move || rx.recv().unwrap());
    let ((first, first_waker), (second, second_waker)) = (counting(), counting());
    assert!(poll(&mut handle, &first_waker).is_pending());
    assert!(poll(&mut handle, &first_waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 3, "this test's, the waker's, and the one that was left");
    assert!(poll(&mut handle, &second_waker).is_pending());
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 3));
    tx.send(()).unwrap();
    while second.0.load(SeqCst) == 0 {
        thread::yield_now();
    }
    assert!(poll(&mut handle, &second_waker).is_ready());
    assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 1));
    drop((first_waker, second_waker, handle));
    assert_eq!(Arc::strong_count(&first), 1);
    while Arc::strong_count(&second) > 1 {
        thread::yield_now(); // the call that has counted may not have let go yet; a waker that is kept hangs
    }
}

#[test]
fn a_dropped_future_detaches_and_leaves_no_waker() {
    let (tx, rx) = bounded::<()>(0);
    let (ended, has_ended) = bounded(1);
    let mut handle = go(move || {
        rx.recv().unwrap();
        ended.send(()).unwrap();
    });
    let (count, waker) = counting();
    assert!(poll(&mut handle, &waker).is_pending());
    drop(handle);
    assert_eq!(Arc::strong_count(&count), 2);
    tx.send(()).unwrap();
    has_ended.recv().unwrap();
    assert_eq!(count.0.load(SeqCst), 0);
}

#[test]
fn a_joiner_whose_waker_panics_harms_nobody() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let (tx, rx) = bounded::<()>(0);
    let mut handle = go(move || rx.recv().unwrap());
    assert!(poll(&mut handle, &Waker::from(Arc::new(Bomb))).is_pending());
    tx.send(()).unwrap();
    handle.join().unwrap();
}

#[test]
fn a_handle_may_move_to_another_task_while_it_waits() {
    run(|| {
        for i in 0..500 {
            let mut handle = Box::pin(task(i));
            let moved = go(move || {
                if handle.as_mut().poll(&mut Context::from_waker(&counting().1)).is_pending() {
                    let back = go(move || block_on_here(handle));
                    assert_eq!(back.join().unwrap(), i);
                }
            });
            moved.join().unwrap();
        }
    });
}

/// Awaits a handle in a select: here, on a green thread.
fn block_on_here(handle: Pin<Box<JoinHandle<usize>>>) -> usize {
    select! { wait(handle) -> result => result.unwrap() }
}

#[test]
#[should_panic(expected = "taken before")]
fn a_result_is_taken_once() {
    let mut handle = go(|| 1);
    assert_eq!(block_on(&mut handle).unwrap(), 1);
    let _ = handle.join();
}

#[test]
fn the_error_tells_a_panic_from_a_cancellation() {
    let error = go(|| panic!("with {}", std::hint::black_box(1))).join().unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(error.message(), Some("with 1"));
    assert!(error.to_string().contains("panicked: with 1"), "{error}");
    assert_eq!(*error.into_panic().downcast::<String>().unwrap(), "with 1");

    let task = go(|| never::<()>().recv());
    let id = task.id();
    task.cancel();
    let error = task.join().unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic() && error.message().is_none());
    assert_eq!(error.to_string(), format!("task {id} was cancelled"));
    let error = error.try_into_panic().unwrap_err();
    let panic = std::panic::catch_unwind(|| error.resume()).map(|_: ()| ()).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().ends_with("was cancelled"));
}

#[test]
fn handles_among_futures_of_a_foreign_executor() {
    block_on(async {
        let tasks: Vec<_> = (0..50).map(task).collect();
        let (mut sum, mut first) = (0, pin!(task(7)));
        for task in tasks {
            sum += task.await.unwrap();
        }
        assert_eq!((sum, first.as_mut().await.unwrap()), (49 * 50 / 2, 7));
    });
}
