//! What the scheduler costs when there is nothing to do, how many workers there are, and who gets a turn.

use greenlight::{Barrier, Runtime, channel::bounded, go, go_async, yield_now};
use greenlight_tests::program;
use std::{
    collections::HashSet,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::*},
    },
    thread,
    time::Duration,
};

const CHILD: &str = "GREENLIGHT_TEST_SCHEDULING";

/// Runs `body` in a process of its own: this test binary again, with the test `name` only.
fn in_child(name: &str, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        body();
        println!("the child has ended well");
        return;
    }
    let output = program(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("the child has ended well"), "{text}");
}

/// The processor time that all threads of this process have taken so far.
fn processor_time() -> Duration {
    // SAFETY: plain data, which the call fills in.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// The processors that this process may run on.
fn processors() -> Vec<usize> {
    // SAFETY: plain data, which the call fills in.
    let set = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &mut set), 0);
        set
    };
    // SAFETY: within the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Binds the calling thread, and those it starts from now on.
fn bind_to(processors: &[usize]) {
    // SAFETY: plain data; the kernel reads it.
    unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        processors.iter().for_each(|&cpu| libc::CPU_SET(cpu, &mut set));
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

/// Green threads that wait for each other, futures, timers, a pool: work for all parts of the runtime, all of it over at the end.
fn work(runtime: &Runtime) {
    runtime.run(|| {
        let (tx, rx) = bounded(0);
        let receivers: Vec<_> = (0..100)
            .map(|_| {
                let rx = rx.clone();
                go(move || rx.iter().sum::<u32>())
            })
            .collect();
        drop(rx);
        let futures: Vec<_> = (0..100)
            .map(|i| {
                let tx = tx.clone();
                go_async(async move { tx.send_async(i).await.unwrap() })
            })
            .collect();
        drop(tx);
        greenlight::sleep(Duration::from_millis(1));
        greenlight::blocking(|| ()).join().unwrap();
        futures.into_iter().for_each(|future| future.join().unwrap());
        assert_eq!(receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum::<u32>(), 4950);
    });
}

/// After work, with tasks that are parked for good and timers none, nobody takes processor time: each of the workers that would
/// spin, or wake too often, takes a second of it here.
#[test]
fn an_idle_runtime_uses_no_processor() {
    in_child("an_idle_runtime_uses_no_processor", || {
        let runtimes = [1, 4].map(|workers| Runtime::builder().workers(workers).build().unwrap());
        runtimes.iter().for_each(work);
        let parked: Vec<_> = runtimes
            .iter()
            .flat_map(|runtime| (0..50).map(|_| runtime.go(|| greenlight::channel::never::<()>().recv())))
            .collect();
        // They give memory back, and look for a deadlock, for about a second.
        thread::sleep(Duration::from_millis(1500));
        let before = processor_time();
        thread::sleep(Duration::from_secs(1));
        let idle = processor_time() - before;
        println!("{idle:?} of processor time in a second"); // for who runs the child by hand
        assert!(idle < Duration::from_millis(50), "{idle:?} of processor time in a second of idleness");
        drop(parked);
    });
}

/// By default there are as many workers as processors that the process may use, which std takes from the affinity mask and from the
/// limit of the control group.
#[test]
fn there_are_as_many_workers_as_processors() {
    in_child("there_are_as_many_workers_as_processors", || {
        let all = processors();
        for count in 1..=all.len().min(4) {
            bind_to(&all[..count]);
            let workers = Runtime::builder().build().unwrap().workers();
            assert!((1..=count).contains(&workers), "{workers} workers on {count} processors");
            assert_eq!(workers, thread::available_parallelism().unwrap().get());
        }
        bind_to(&all[..1]);
        assert_eq!(Runtime::builder().build().unwrap().workers(), 1);
    });
}

/// Two that wake each other all the time take the run-next slot of their worker for themselves 16 times in a row at most: then the
/// third one gets a turn.
#[test]
fn a_pair_does_not_starve_a_third() {
    const TURNS: u32 = 200;
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let longest = runtime.run(|| {
        let (ping, pinged) = bounded::<()>(0);
        let (pong, ponged) = bounded::<()>(0);
        let (passes, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let third = {
            let (passes, over) = (passes.clone(), over.clone());
            go(move || {
                while passes.load(Relaxed) == 0 {
                    yield_now();
                }
                let mut longest = 0;
                let mut before = passes.load(Relaxed);
                for _ in 0..TURNS {
                    yield_now();
                    let now = passes.load(Relaxed);
                    longest = longest.max(now - before);
                    before = now;
                }
                over.store(true, Relaxed);
                longest
            })
        };
        let one = {
            let over = over.clone();
            go(move || {
                while !over.load(Relaxed) {
                    if ping.send(()).is_err() || ponged.recv().is_err() {
                        break;
                    }
                }
            })
        };
        let other = go(move || {
            while pinged.recv().is_ok() {
                passes.fetch_add(1, Relaxed);
                if pong.send(()).is_err() {
                    break;
                }
            }
        });
        let longest = third.join().unwrap();
        one.join().unwrap();
        other.join().unwrap();
        longest
    });
    assert!((1..=32).contains(&longest), "the pair has passed {longest} times between two turns of the third");
}

/// In how many of 300 rounds things happen so, by OS thread, on a runtime with two workers: it depends on when the system lets the second
/// worker run.
fn rounds(may: impl Fn() -> bool + Clone + Send + 'static) -> usize {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    (0..300).filter(|_| runtime.run(may.clone())).count()
}

/// Ten tasks that are spawned in one go, and tell their threads, by their order, once they all have started.
fn threads_of_ten() -> Vec<thread::ThreadId> {
    let started = Arc::new(Barrier::new(10));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let started = started.clone();
            go(move || {
                started.wait();
                thread::current().id()
            })
        })
        .collect();
    tasks.into_iter().map(|task| task.join().unwrap()).collect()
}

/// Neighbours in a chain stay neighbours: half of them are on each worker, and one link goes from one to the other.
#[test]
fn a_chain_that_is_spawned_in_one_go_crosses_once() {
    let often = rounds(|| {
        let threads = threads_of_ten();
        let here = threads.iter().filter(|thread| **thread == threads[0]).count();
        let crossings = threads.windows(2).filter(|pair| pair[0] != pair[1]).count();
        (4..=6).contains(&here) && crossings == 1
    });
    assert!(often > 0, "{often}");
}

/// A task that its parent waits for, who is alone, starts beside it.
#[test]
fn a_lone_child_stays_with_a_lone_parent() {
    let often = rounds(|| {
        let here = thread::current().id();
        go(move || thread::current().id()).join().unwrap() == here
    });
    assert!(often > 0, "{often}");
}

/// Not if others would have to wait for it: a timer is due here. (By thieves alone, it leaves in one round of ten.)
#[test]
fn a_lone_child_leaves_who_waits_for_the_clock() {
    let often = rounds(|| {
        let here = thread::current().id();
        let (tx, rx) = bounded(1);
        go(move || tx.send(thread::current().id()).unwrap());
        rx.recv_timeout(Duration::from_secs(60)).unwrap() != here
    });
    assert!(often > 75, "{often}");
}

/// Tasks that are started one by one, each at work before the next one is started, and stay: all workers get some.
#[test]
fn tasks_that_come_one_by_one_reach_all_workers() {
    let runtime = Runtime::builder().workers(4).build().unwrap();
    let reached = (0..300).any(|_| {
        runtime.run(|| {
            let (tx, rx) = bounded(0);
            let (end, ends) = bounded::<()>(0);
            let mut threads = HashSet::new();
            for _ in 0..40 {
                let (tx, ends) = (tx.clone(), ends.clone());
                go(move || {
                    tx.send(thread::current().id()).unwrap();
                    ends.recv().unwrap_err();
                });
                threads.insert(rx.recv().unwrap());
            }
            drop(end);
            threads.len() == 4
        })
    });
    assert!(reached);
}
