//! Blocking calls: results, panics, cancels before the start, limits, idle threads that go, shutdown; from green threads, OS
//! threads and futures.

use futures_executor::block_on;
use greenlight::{
    Runtime, WaitGroup, blocking,
    blocking::{BlockingHandle, Cancelled, Pool},
    channel::{Receiver, Sender, bounded, never},
    fs, go, process, run, select, sleep,
    time::Instant,
};
use std::{
    panic::catch_unwind,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

/// A call that runs until its sender goes.
fn held(pool: &Pool) -> (BlockingHandle<()>, Sender<()>) {
    let (gate, wait) = bounded::<()>(0);
    let (started, has_started): (Sender<()>, Receiver<()>) = bounded(0);
    let call = pool.spawn(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    has_started.recv().unwrap();
    (call, gate)
}

#[test]
fn results_come_to_green_threads_os_threads_and_futures() {
    assert_eq!(blocking(|| 1).join().unwrap(), 1);
    assert_eq!(run(|| blocking(|| 2).join().unwrap()), 2);
    assert_eq!(block_on(blocking(|| 3)).unwrap(), 3);
    let answer = run(|| {
        select! {
            recv(never::<i32>()) -> _ => unreachable!(),
            wait(blocking(|| 4)) -> answer => answer.unwrap(),
        }
    });
    assert_eq!(answer, 4);
    let mut call = blocking(|| String::from("once"));
    assert_eq!(call.join_timeout(LONG).unwrap().unwrap(), "once");
    assert!(call.try_join().unwrap().unwrap_err().is::<Cancelled>());
}

/// On one worker: if a call blocked it, the others would not run.
#[test]
fn the_worker_runs_on_meanwhile() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let (tx, rx) = bounded(0);
        let other = go(move || tx.send("from the same worker").unwrap());
        // The OS thread of the call waits for a green thread of the worker that waits for the call.
        assert_eq!(blocking(move || rx.recv()).join().unwrap(), Ok("from the same worker"));
        other.join().unwrap();
    });
}

#[test]
fn a_panic_comes_by_the_handle_and_leaves_the_thread_well() {
    let pool = Pool::new(1);
    for _ in 0..20 {
        let payload = pool.spawn(|| panic!("told at join")).join().unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"told at join"));
    }
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("a result that nobody wants");
        }
    }
    let (gate, wait) = bounded::<()>(0);
    drop(pool.spawn(move || (wait.recv(), PanicsInDrop).1));
    drop(gate);
    assert_eq!(pool.spawn(|| 7).join().unwrap(), 7);
    assert_eq!(pool.threads(), 1);
}

#[test]
fn never_more_threads_than_the_limit_and_all_calls_run() {
    let pool = Pool::new(3);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let calls: Vec<_> = (0..50)
        .map(|i| {
            let (now, most) = (now.clone(), most.clone());
            pool.spawn(move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_millis(1));
                now.fetch_sub(1, SeqCst);
                i
            })
        })
        .collect();
    assert_eq!(calls.into_iter().map(|call| call.join().unwrap()).sum::<i32>(), 50 * 49 / 2);
    assert!(most.load(SeqCst) <= 3 && pool.threads() <= 3);
}

#[test]
fn a_higher_limit_starts_what_waits_and_a_lower_one_ends_threads() {
    let pool = Pool::new(1);
    let (first, gate) = held(&pool);
    let second = pool.spawn(|| 2);
    let third = pool.spawn(|| 3);
    assert_eq!((pool.threads(), pool.queued(), second.is_finished()), (1, 2, false));
    pool.set_max_threads(2);
    assert_eq!((second.join().unwrap(), third.join().unwrap()), (2, 3));
    pool.set_max_threads(1);
    drop(gate);
    first.join().unwrap();
    // One is idle, or was: the next call that ends sees that there is one too many.
    while pool.threads() > 1 {
        pool.spawn(|| ()).join().unwrap();
    }
    assert!(catch_unwind(|| Pool::new(0)).is_err());
    assert!(catch_unwind(|| pool.set_max_threads(0)).is_err());
}

#[test]
fn cancelled_before_its_start_it_never_runs() {
    let pool = Pool::new(1);
    let (first, gate) = held(&pool);
    let captured = Arc::new(());
    let held_by_it = captured.clone();
    let second = pool.spawn(move || drop(held_by_it));
    let third = pool.spawn(|| 3);
    assert_eq!(pool.queued(), 2);
    second.cancel().unwrap();
    assert_eq!((pool.queued(), Arc::strong_count(&captured)), (1, 1));
    let first = first.cancel().unwrap_err();
    assert!(!first.is_finished());
    drop(gate);
    first.join().unwrap();
    assert_eq!(third.join().unwrap(), 3);
}

#[test]
fn cancel_races_with_the_start_and_one_wins() {
    let pool = Pool::new(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let mut expected = 0;
    for _ in 0..500 {
        let count = ran.clone();
        let call = pool.spawn(move || count.fetch_add(1, SeqCst));
        let other = pool.spawn(|| ());
        match call.cancel() {
            Ok(()) => {}
            Err(call) => {
                expected += 1;
                call.join().unwrap();
            }
        }
        other.join().unwrap();
    }
    assert_eq!(ran.load(SeqCst), expected);
}

#[test]
fn idle_threads_end_and_new_ones_come() {
    let pool = Pool::new(8);
    pool.set_keep_alive(Duration::ZERO); // as short as can be
    let gates: Vec<_> = (0..8).map(|_| held(&pool)).collect();
    assert_eq!((pool.threads(), pool.running().len()), (8, 8));
    assert_eq!(pool.running()[0].site().file(), file!());
    drop(gates);
    while pool.threads() > 0 {
        sleep(SHORT);
    }
    assert_eq!(pool.spawn(|| 7).join().unwrap(), 7);
}

#[test]
fn shutdown_says_what_still_runs() {
    let pool = Pool::new(1);
    let (first, gate) = held(&pool);
    let second = pool.spawn(|| ());
    let still = pool.shutdown(SHORT);
    assert_eq!(still.len(), 1);
    assert!(still[0].site().file() == file!() && still[0].to_string().contains("blocking call from"));
    assert!(second.join().unwrap_err().is::<Cancelled>(), "it had not started");
    assert!(pool.spawn(|| ()).join().unwrap_err().is::<Cancelled>(), "nothing starts any more");
    drop(gate);
    assert!(pool.shutdown(LONG).is_empty());
    first.join().unwrap();
    while pool.threads() > 0 {
        sleep(SHORT);
    }
}

#[test]
fn shutdown_under_load_loses_no_call() {
    run(|| {
        for _ in 0..20 {
            let pool = Arc::new(Pool::new(4));
            let ran = Arc::new(AtomicUsize::new(0));
            let wg = WaitGroup::new();
            let told = Arc::new(AtomicUsize::new(0));
            for _ in 0..40 {
                let (pool, ran, told) = (pool.clone(), ran.clone(), told.clone());
                wg.go(move || {
                    let count = ran.clone();
                    match pool.spawn(move || count.fetch_add(1, SeqCst)).join() {
                        Ok(_) => _ = told.fetch_add(1, SeqCst),
                        Err(payload) => assert!(payload.is::<Cancelled>()),
                    }
                });
            }
            let still = pool.shutdown(LONG);
            assert!(still.is_empty());
            wg.wait();
            assert_eq!(ran.load(SeqCst), told.load(SeqCst));
        }
    });
}

#[test]
fn dropping_the_pool_lets_what_was_asked_for_be_done() {
    let pool = Pool::new(1);
    let (first, gate) = held(&pool);
    let second = pool.spawn(|| 2);
    drop(pool);
    drop(gate);
    first.join().unwrap();
    assert_eq!(second.join().unwrap(), 2);
}

#[test]
fn many_at_once() {
    run(|| {
        let start = Instant::now();
        let calls: Vec<_> = (0..100).map(|i| blocking(move || (thread::sleep(SHORT), i).1)).collect();
        assert_eq!(calls.into_iter().map(|call| call.join().unwrap()).sum::<i32>(), 100 * 99 / 2);
        assert!(start.elapsed() >= SHORT);
    });
}

#[test]
fn files_and_processes() {
    fn both(test: fn()) {
        test();
        run(test);
    }
    both(|| {
        let dir = std::env::temp_dir().join(format!("greenlight-blocking-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("one"), "text").unwrap();
        assert_eq!(fs::copy(dir.join("one"), dir.join("two")).unwrap(), 4);
        fs::rename(dir.join("two"), dir.join("three")).unwrap();
        assert_eq!(fs::read(dir.join("three")).unwrap(), b"text");
        assert_eq!(fs::metadata(dir.join("one")).unwrap().len(), 4);
        let mut names = fs::read_dir(&dir).unwrap();
        names.sort();
        assert_eq!(names, [dir.join("one"), dir.join("three")]);
        assert_eq!(std::io::read_to_string(fs::open(dir.join("one")).unwrap()).unwrap(), "text");
        fs::remove_file(dir.join("one")).unwrap();
        assert_eq!(fs::read_to_string(dir.join("one")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        fs::remove_dir_all(&dir).unwrap();
        let mut echo = Command::new("echo");
        echo.arg("hello");
        assert_eq!(process::output(echo).unwrap().stdout, b"hello\n");
        assert!(process::status(Command::new("true")).unwrap().success());
        assert!(!process::wait(Command::new("false").spawn().unwrap()).unwrap().success());
    });
}
