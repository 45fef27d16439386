//! Green threads that roam: free at every wake, so that a stuck worker keeps none of them. No test here has a time limit: what must
//! happen is waited for, and hangs if it does not.

use greenlight::{
    Mutex, Runtime, Semaphore, WaitGroup, block_on,
    channel::{RecvTimeoutError, bounded, never, unbounded},
    go_roaming,
    net::TcpListener,
    scope, select, sleep,
    task::{self, Builder},
    yield_now,
};
use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

const MS: Duration = Duration::from_millis(1);

/// Never inlined: the test's own use of a thread-local, which must not be one address for two calls (that is what the promise is about).
#[inline(never)]
fn this_thread() -> ThreadId {
    thread::current().id()
}

fn roaming(workers: usize) -> Runtime {
    // SAFETY: what runs here computes and waits; its only use of the OS thread is `this_thread`.
    unsafe { Runtime::builder().workers(workers).roaming() }.build().unwrap()
}

/// Blocks its OS thread until it is over, and calls nothing of ours.
fn block(over: &AtomicBool) {
    while !over.load(Relaxed) {
        thread::sleep(10 * MS);
    }
}

/// Every value sent is received once, with all kinds of waits between.
#[test]
fn values_are_conserved() {
    const TASKS: usize = 40;
    const VALUES: usize = 300;
    roaming(4).run(|| {
        let (first, mut rx) = bounded(4);
        let held = Arc::new(Mutex::new(0));
        let permits = Arc::new(Semaphore::new(3));
        let group = WaitGroup::new();
        for stage in 0..TASKS {
            let (tx, next) = bounded(stage % 5);
            let (held, permits, from) = (held.clone(), permits.clone(), std::mem::replace(&mut rx, next));
            group.go(move || {
                let mut numbers = stage as u32 + 1;
                for value in from {
                    numbers = numbers.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    match numbers >> 28 {
                        0 => yield_now(),
                        1 => sleep(Duration::from_micros(u64::from(numbers >> 8 & 511))),
                        2 => {
                            let mut sum = held.lock();
                            yield_now();
                            *sum += 1;
                        }
                        3 => {
                            let _permit = permits.acquire(1).unwrap();
                            sleep(Duration::from_micros(50));
                        }
                        4 => assert_eq!(
                            never::<()>().recv_timeout(Duration::from_micros(100)),
                            Err(RecvTimeoutError::Timeout)
                        ),
                        5 => select! { send(tx, value) -> sent => { sent.unwrap(); continue } },
                        _ => {}
                    }
                    tx.send(value).unwrap();
                }
            });
        }
        let sender = task::Builder::new().spawn(move || (0..VALUES).for_each(|value| first.send(value).unwrap()));
        assert_eq!(rx.iter().collect::<Vec<_>>(), (0..VALUES).collect::<Vec<_>>());
        sender.join().unwrap();
        group.wait();
    });
}

/// It goes on elsewhere, with its own stack, and comes back.
#[test]
fn one_task_runs_on_many_threads() {
    let runtime = roaming(3);
    // All of them go on until each has moved: one that is alone with its worker has no reason to.
    let moved = Arc::new(AtomicUsize::new(0));
    let tasks = [1_u64, 2, 3, 4].map(|seed| {
        let moved = moved.clone();
        runtime.go(move || {
            let (mut mine, mut threads) = ([seed; 64], HashSet::new());
            while moved.load(SeqCst) < 4 {
                sleep(Duration::from_micros(200));
                mine.iter_mut().for_each(|value| *value += 1);
                assert!(mine.iter().all(|value| *value == mine[0]));
                if threads.insert(this_thread()) && threads.len() == 2 {
                    moved.fetch_add(1, SeqCst);
                }
                // A worker that is at work gets nothing new while another is idle.
                for _ in 0..seed * 10_000 {
                    std::hint::spin_loop();
                }
            }
        })
    });
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

/// The worker on which it runs is stuck: what roams ticks on, what it waits for with a limit ends in time, and messages come.
#[test]
fn a_stuck_worker_keeps_nobody() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let over = Arc::new(AtomicBool::new(false));
        let (tx, rx) = unbounded::<usize>();
        let started = WaitGroup::new();
        started.add(2);
        let (ticks, begun) = (Arc::new(AtomicUsize::new(0)), started.clone());
        let ticker = {
            let ticks = ticks.clone();
            // SAFETY: it uses nothing of a thread's.
            unsafe {
                go_roaming(move || {
                    begun.done();
                    for _ in 0..50 {
                        sleep(MS);
                        ticks.fetch_add(1, SeqCst);
                        tx.send(1).unwrap();
                        assert_eq!(never::<()>().recv_timeout(MS), Err(RecvTimeoutError::Timeout));
                    }
                })
            }
        };
        let begun = started.clone();
        // SAFETY: as above.
        let sum = unsafe { Builder::new().name("sum").roaming() }.spawn(move || {
            begun.done();
            rx.iter().sum::<usize>()
        });
        started.wait(); // both have run on this worker
        // And now it is stuck: this green thread is bound to it.
        let ends = over.clone();
        let watch = thread::spawn(move || {
            while ticks.load(SeqCst) < 50 {
                thread::sleep(MS);
            }
            ends.store(true, SeqCst);
        });
        block(&over);
        ticker.join().unwrap();
        assert_eq!(sum.join().unwrap(), 50);
        watch.join().unwrap();
    });
}

/// Names, cancellation, panics, scopes, nearness: a roaming task is a green thread as any.
#[test]
fn the_rest_of_a_life() {
    roaming(2).run(|| {
        let endless = Builder::new().name("endless").near().spawn(|| {
            loop {
                assert_eq!(task::current_name().as_deref(), Some("endless"));
                sleep(MS);
            }
        });
        sleep(5 * MS);
        endless.cancel();
        assert!(endless.join().unwrap_err().is_cancelled());

        let panics = greenlight::go(|| {
            sleep(MS);
            std::panic::resume_unwind(Box::new(7));
        });
        assert!(panics.join().unwrap_err().is_panic());

        let mut values = [0; 100];
        scope(|s| {
            for (i, value) in values.iter_mut().enumerate() {
                s.spawn(move || {
                    sleep(MS);
                    *value = i;
                });
            }
        });
        assert!(values.iter().enumerate().all(|(i, value)| i == *value));
    });
}

/// A `Drop` that waits while its task unwinds: the OS thread stays the same, since it counts as panicking.
#[test]
fn no_move_while_it_unwinds() {
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let thread = this_thread();
            for _ in 0..10 {
                sleep(MS);
                yield_now();
                assert!(this_thread() == thread && thread::panicking());
            }
            self.0.fetch_add(1, SeqCst);
        }
    }
    let runtime = roaming(3);
    let dropped = Arc::new(AtomicUsize::new(0));
    let tasks = [(); 6].map(|()| {
        let waits = Waits(dropped.clone());
        runtime.go(move || {
            let _waits = waits;
            sleep(MS);
            std::panic::resume_unwind(Box::new(7));
        })
    });
    tasks.into_iter().for_each(|task| assert!(task.join().unwrap_err().is_panic()));
    assert_eq!(dropped.load(SeqCst), 6);
}

/// A future that waits inside its poll, in `block_on` and in a select: the task may have moved when the poll says that it is not ready yet.
#[test]
fn a_poll_may_move_it() {
    let runtime = roaming(3);
    let tasks: Vec<_> = (0..30)
        .map(|number| {
            let slow = move |mut polls| {
                poll_fn(move |context| {
                    sleep(MS / 20);
                    context.waker().wake_by_ref();
                    polls -= 1;
                    if polls == 0 { Poll::Ready(number) } else { Poll::Pending }
                })
            };
            runtime.go(move || {
                assert_eq!(block_on(slow(20)), number);
                let nothing = never::<()>();
                select! {
                    recv(nothing) -> _ => unreachable!(),
                    wait(slow(20)) -> found => assert_eq!(found, number),
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

/// Whoever looks after the sockets between two tasks calls wakers of the program's. One that waits, though it should not, comes back to
/// the worker that it was called by, whichever task that was called from.
#[test]
fn no_move_while_it_delivers_events() {
    #[derive(Default)]
    struct Waits {
        calls: AtomicUsize,
        moves: AtomicUsize,
    }

    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            let before = this_thread();
            for _ in 0..3 {
                sleep(MS / 10);
                yield_now();
            }
            self.moves.fetch_add(usize::from(this_thread() != before), Relaxed);
            self.calls.fetch_add(1, Relaxed);
        }
    }

    let (runtime, over) = (roaming(2), Arc::new(AtomicBool::new(false)));
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let over = over.clone();
            runtime.go(move || {
                while !over.load(Relaxed) {
                    yield_now();
                }
            })
        })
        .collect();
    let waits = Arc::new(Waits::default());
    let waker = waits.clone();
    runtime.run(move || {
        for round in 1..=100 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let mut accepting = pin!(listener.accept_async());
            let waker = Waker::from(waker.clone());
            assert!(accepting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let _stream = std::net::TcpStream::connect(address).unwrap();
            while waits.calls.load(Relaxed) < round {
                yield_now();
            }
        }
        assert_eq!(waits.moves.load(Relaxed), 0);
    });
    over.store(true, Relaxed);
    busy.into_iter().for_each(|task| task.join().unwrap());
}

/// A parked roaming task belongs to no worker: it goes on, though the threads of its runtime may have ended.
#[test]
fn it_outlives_its_runtime() {
    let (tx, rx) = bounded::<i32>(0);
    let runtime = roaming(1);
    let waits = runtime.go(move || rx.recv().unwrap() + 1);
    let sleeps = runtime.go(|| {
        sleep(300 * MS);
        7
    });
    runtime.run(|| sleep(MS));
    drop(runtime);
    assert_eq!(sleeps.join().unwrap(), 7);
    tx.send(1).unwrap();
    assert_eq!(waits.join().unwrap(), 2);
}

/// Asleep for ever, it is asked to end by its runtime's end.
#[test]
fn shutdown_finds_it() {
    let runtime = roaming(2);
    let tasks = [(); 20].map(|()| runtime.go(|| never::<()>().recv()));
    runtime.run(|| sleep(MS));
    let report = runtime.shutdown(Duration::MAX);
    assert_eq!((report.ended(), report.left().len()), (20, 0));
    tasks.into_iter().for_each(|task| assert!(task.join().unwrap_err().is_cancelled()));
}
