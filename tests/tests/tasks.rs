//! Point 1: `go` starts a task and returns at once; results and panics come by the handle. And what must hold of a
//! green thread's life: it stays on its thread, its values are dropped once, its stack is its own.

use greenlight::{Runtime, WaitGroup, channel, go, run, sleep, yield_now};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

const CALL: Duration = Duration::from_millis(30);

fn db_call(i: u32) -> u32 {
    sleep(CALL);
    i * i
}

#[test]
fn ten_calls_at_once_take_the_time_of_one() {
    let calls: Vec<_> = run(|| {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let calls: Vec<_> = (0..10)
            .map(|i| {
                let (running, most) = (running.clone(), most.clone());
                go(move || {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    let answer = db_call(i);
                    // However slow the machine is: no call ends before all have begun.
                    while most.load(SeqCst) < 10 {
                        sleep(CALL);
                    }
                    running.fetch_sub(1, SeqCst);
                    answer
                })
            })
            .collect();
        let answers = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(most.load(SeqCst), 10, "all of them ran at the same time");
        answers
    });
    assert_eq!(calls, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
}

#[test]
fn go_returns_before_the_task_runs_to_its_end() {
    let ended = Arc::new(AtomicBool::new(false));
    let gate = channel::bounded::<()>(0);
    let task = {
        let ended = ended.clone();
        go(move || {
            gate.1.recv().unwrap();
            ended.store(true, SeqCst);
        })
    };
    assert!(!ended.load(SeqCst) && !task.is_finished());
    gate.0.send(()).unwrap();
    task.join().unwrap();
    assert!(ended.load(SeqCst));
}

#[test]
fn the_macro_takes_expressions_and_blocks() {
    let three = 3;
    assert_eq!(go!(db_call(three)).join().unwrap(), 9);
    let text = String::from("moved in");
    let task = go! {
        let length = text.len();
        length + 1
    };
    assert_eq!(task.join().unwrap(), 9);
}

#[test]
fn a_panic_comes_by_the_handle_and_leaves_the_worker_well() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    for _ in 0..50 {
        let panic = runtime.go(|| panic!("told at join")).join().unwrap_err().into_panic();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "told at join");
    }
    assert_eq!(runtime.run(|| 1), 1);
}

#[test]
fn run_raises_the_panic_of_its_task_again() {
    let panic = std::panic::catch_unwind(|| run(|| panic!("through run"))).unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "through run");
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn closure_and_result_are_dropped_once_whatever_becomes_of_the_handle() {
    let drops = Arc::new(AtomicUsize::new(0));
    let mut made = 0;
    for round in 0..200 {
        for kind in 0..4 {
            made += 2;
            let (captured, result) = (Counted(drops.clone()), Counted(drops.clone()));
            let task = go(move || {
                let _captured = captured;
                if round % 2 == 0 {
                    yield_now();
                }
                if kind == 3 {
                    panic!("the result is dropped by the unwinding");
                }
                result
            });
            match kind {
                0 => drop(task.join().unwrap()),
                1 => drop(task),
                2 => {
                    while !task.is_finished() {
                        thread::yield_now();
                    }
                    drop(task);
                }
                _ => assert!(task.join().is_err()),
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while drops.load(SeqCst) < made && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    sleep(Duration::from_millis(5));
    assert_eq!(drops.load(SeqCst), made);
}

#[test]
fn a_result_whose_drop_panics_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    for _ in 0..20 {
        drop(go(|| Bomb));
        let task = go(|| Bomb);
        while !task.is_finished() {
            thread::yield_now();
        }
        drop(task);
    }
    assert_eq!(go(|| 5).join().unwrap(), 5);
}

#[test]
fn large_and_aligned_closures_and_results() {
    #[repr(align(512))]
    struct Aligned([u8; 512]);
    let big = [7_u8; 6_000]; // larger than what lies beside the header
    let back = go(move || big).join().unwrap();
    assert!(back.iter().all(|byte| *byte == 7));
    let aligned = Aligned([3; 512]);
    let task = go(move || {
        assert_eq!(std::ptr::from_ref(&aligned).addr() % 512, 0);
        aligned
    });
    assert_eq!(task.join().unwrap().0[511], 3);

    #[repr(align(64))]
    struct Line([u8; 64]); // small enough to lie beside the header
    let line = Line([5; 64]);
    let task = go(move || {
        assert_eq!(std::ptr::from_ref(&line).addr() % 64, 0);
        line
    });
    let line = task.join().unwrap();
    assert_eq!(line.0, [5; 64]);
}

#[test]
fn a_started_task_stays_on_its_thread() {
    thread_local! {
        static SHARED: RefCell<Rc<Cell<u32>>> = RefCell::new(Rc::new(Cell::new(0)));
    }
    run(|| {
        let wg = WaitGroup::new();
        for _ in 0..100 {
            wg.go(|| {
                let thread = thread::current().id();
                let here = SHARED.with(|shared| std::ptr::from_ref(shared).addr());
                let mine = SHARED.with_borrow(Rc::clone);
                for turn in 0..20 {
                    mine.set(mine.get() + 1);
                    match turn % 3 {
                        0 => yield_now(),
                        1 => sleep(Duration::from_micros(50)),
                        _ => drop(go(|| ()).join()),
                    }
                    assert_eq!(thread::current().id(), thread);
                    assert_eq!(SHARED.with(|shared| std::ptr::from_ref(shared).addr()), here);
                }
            });
        }
        wg.wait();
    });
}

#[test]
fn tasks_of_tasks_and_run_inside_run() {
    fn tree(depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let left = go(move || tree(depth - 1));
        tree(depth - 1) + left.join().unwrap()
    }
    assert_eq!(run(|| run(|| tree(12))), 4096);
}

#[test]
fn many_tasks_park_at_once() {
    const TASKS: usize = if cfg!(greenlight_tsan) { 4_000 } else { 20_000 }; // the sanitizer bears 8,000 stacks
    run(|| {
        let (tx, rx) = channel::bounded::<()>(0);
        let wg = WaitGroup::new();
        for _ in 0..TASKS {
            let rx = rx.clone();
            wg.go(move || assert!(rx.recv().is_err()));
        }
        sleep(Duration::from_millis(20));
        tx.close();
        wg.wait();
    });
}

/// Two tasks that wait for each other without parking: they end only if two workers run them at the same time.
#[test]
fn computing_tasks_run_on_all_workers() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| {
        let meet = Arc::new(Barrier::new(2));
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let meet = meet.clone();
                go(move || {
                    meet.wait(); // blocks the OS thread: the point of this test
                    thread::current().id()
                })
            })
            .collect();
        let threads: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
        assert_ne!(threads[0], threads[1]);
    });
}

#[test]
fn a_dropped_runtime_lets_its_tasks_end() {
    let (tx, rx) = channel::bounded(0);
    let runtime = Runtime::builder().workers(3).build().unwrap();
    for i in 0..10 {
        let tx = tx.clone();
        runtime.go(move || {
            sleep(Duration::from_millis(5));
            // A task of an ended runtime may still start others.
            let tx = tx.clone();
            go(move || tx.send(i).unwrap());
        });
    }
    drop((tx, runtime));
    let mut got: Vec<_> = rx.iter().collect();
    got.sort_unstable();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_runtime_can_be_dropped_by_its_own_task() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let (tx, rx) = channel::bounded::<Runtime>(1);
    let task = runtime.go(move || {
        drop(rx.recv().unwrap());
        go(|| 4).join().unwrap()
    });
    tx.send(runtime).unwrap();
    assert_eq!(task.join().unwrap(), 4);
}

#[test]
fn no_workers_is_an_error() {
    let error = Runtime::builder().workers(0).build().unwrap_err();
    assert!(error.to_string().contains("at least one worker"));
}

#[test]
fn a_wait_while_unwinding_holds_the_worker_and_comes_back() {
    struct WaitsInDrop(channel::Receiver<u32>, Arc<AtomicUsize>);
    impl Drop for WaitsInDrop {
        fn drop(&mut self) {
            assert!(thread::panicking());
            self.1.store(self.0.recv().unwrap() as usize, SeqCst);
        }
    }
    let (tx, rx) = channel::bounded(0);
    let got = Arc::new(AtomicUsize::new(0));
    let guard = WaitsInDrop(rx, got.clone());
    let task = go(move || {
        let _guard = guard;
        panic!("with a drop that waits");
    });
    thread::sleep(Duration::from_millis(5));
    tx.send(9).unwrap(); // from an OS thread
    assert!(task.join().is_err());
    assert_eq!(got.load(SeqCst), 9);
}

#[test]
fn sleeps_end_in_order_and_not_early() {
    run(|| {
        let (tx, rx) = channel::unbounded();
        for i in [3_u64, 1, 2] {
            let tx = tx.clone();
            go(move || {
                let start = Instant::now();
                sleep(Duration::from_millis(i * 40));
                assert!(start.elapsed() >= Duration::from_millis(i * 40));
                tx.send(i).unwrap();
            });
        }
        drop(tx);
        assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2, 3]);
    });
}

/// A ping-pong pair that never leaves the fast lane must not keep others of the same worker from running.
#[test]
fn a_busy_pair_does_not_starve_the_others() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let (a_tx, a_rx) = channel::bounded(0);
        let (b_tx, b_rx) = channel::bounded(0);
        let (stopped, stopper) = (stop.clone(), stop.clone());
        let ping = go(move || {
            while !stopped.load(Relaxed) {
                a_tx.send(()).unwrap();
                if b_rx.recv().is_err() {
                    break;
                }
            }
        });
        let pong = go(move || {
            for () in &a_rx {
                if b_tx.send(()).is_err() {
                    break;
                }
            }
        });
        let others: Vec<_> = (0..10)
            .map(|_| {
                go(|| {
                    for _ in 0..50 {
                        yield_now();
                    }
                    sleep(Duration::from_millis(2));
                })
            })
            .collect();
        others.into_iter().for_each(|other| other.join().unwrap());
        stopper.store(true, Relaxed);
        ping.join().unwrap();
        pong.join().unwrap();
    });
}
