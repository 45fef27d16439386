//! The seam as a program plugs into it. Hooks are for the whole process and stay, so each test is a process of its own: this
//! executable again, asked for that one test.

use greenlight_core::{
    Barrier, Mutex, Notify, RwLock, Semaphore, WaitGroup, Watch,
    channel::{
        RecvTimeoutError, SendTimeoutError, StaticChannel, after, at, bounded, broadcast, oneshot, tick, unbounded,
        watch,
    },
    park::{self, Alarms, AlreadyInstalled, Hooks, Tick, thread},
    select, select_biased,
};
use std::{
    collections::BTreeMap,
    env,
    future::Future,
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{spawn, yield_now},
    time::{Duration, Instant},
};

const CHILD: &str = "GREENLIGHT_HOOKS_CHILD";

/// This executable: through an emulator, if this process runs through one too and the environment says which.
fn this_executable() -> Command {
    let runner = env::var("GREENLIGHT_TEST_RUNNER").unwrap_or_default();
    let executable = env::current_exe().expect("a test knows its own executable");
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else { return Command::new(executable) };
    let mut command = Command::new(emulator);
    command.args(words).arg(executable);
    command
}

/// Runs `program` in a child process; `test` is the name of the test that asks.
fn in_a_process(test: &str, program: fn()) {
    if env::var_os(CHILD).is_some() {
        return program();
    }
    let output = this_executable().args([test, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("it runs");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "the child ran no test called {test}:\n{text}");
}

const HOUR: Duration = Duration::from_secs(3600);

static TIME: AtomicU64 = AtomicU64::new(1_000);

fn virtual_now() -> Tick {
    TIME.load(SeqCst)
}

/// A minute passes whenever there is nothing to do.
fn let_a_minute_pass() {
    TIME.fetch_add(60_000_000_000, SeqCst);
}

/// Every call with a time limit, in virtual time: more than a year of it. This test ends.
#[test]
fn time_limits_end_in_virtual_time() {
    static HOOKS: Hooks = Hooks::new().with_idle(let_a_minute_pass, || ()).with_clock(virtual_now);
    static CHANNEL: StaticChannel<u8, 1> = StaticChannel::new();

    in_a_process("time_limits_end_in_virtual_time", || {
        park::install(&HOOKS).unwrap();
        let passed = |limit: Duration, call: &mut dyn FnMut()| {
            let begin = park::now();
            call();
            let passed = Duration::from_nanos(park::now() - begin);
            assert!(passed >= limit && passed < limit + HOUR, "{passed:?} for {limit:?}");
        };
        let (tx, rx) = bounded(1);
        passed(24 * 365 * HOUR, &mut || assert_eq!(rx.recv_timeout(24 * 365 * HOUR), Err(RecvTimeoutError::Timeout)));
        tx.send(1).unwrap();
        passed(HOUR, &mut || assert_eq!(tx.send_timeout(2, HOUR), Err(SendTimeoutError::Timeout(2))));
        passed(HOUR, &mut || assert!(CHANNEL.receiver().recv_timeout(HOUR).is_err()));
        let (_tx, mut rx) = oneshot::channel::<u8>();
        passed(HOUR, &mut || assert!(rx.recv_timeout(HOUR).is_err()));
        let (_tx, mut rx) = watch::channel(1);
        rx.get();
        passed(HOUR, &mut || assert!(rx.changed_timeout(HOUR).is_err()));
        let (_tx, mut rx) = broadcast::channel::<u8>(1);
        passed(HOUR, &mut || assert!(rx.recv_timeout(HOUR).is_err()));
        let level = Watch::new(1);
        let mut watcher = level.subscribe();
        passed(HOUR, &mut || assert!(watcher.changed_timeout(HOUR).is_err()));
        passed(HOUR, &mut || {
            let (_tx, rx) = bounded::<()>(0);
            select! {
                recv(rx) -> _ => unreachable!(),
                default(HOUR) => {}
            }
        });
        passed(2 * HOUR, &mut || {
            let (_tx, rx) = bounded::<()>(0);
            select! {
                recv(rx) -> _ => unreachable!(),
                recv(after(2 * HOUR)) -> _ => {}
            }
        });
        let ticks = tick(HOUR);
        passed(3 * HOUR, &mut || (0..3).for_each(|_| _ = ticks.recv().unwrap()));
    });
}

/// What the clock sends comes when it is due, not before, and in that order unless both are due.
#[test]
fn the_clock_sends_in_virtual_time() {
    static HOOKS: Hooks = Hooks::new().with_idle(let_a_minute_pass, || ()).with_clock(virtual_now);
    fn pass(time: Duration) {
        TIME.fetch_add(time.as_nanos() as u64, SeqCst);
    }

    in_a_process("the_clock_sends_in_virtual_time", || {
        park::install(&HOOKS).unwrap();
        let begin = park::now();
        let passed = || Duration::from_nanos(park::now() - begin);
        let third = Instant::now() + 3 * HOUR;
        let (soon, later) = (after(HOUR), at(third));
        assert_eq!((soon.len(), later.len()), (0, 0));
        let first = select! { recv(soon) -> _ => "soon", recv(later) -> _ => "later" };
        assert_eq!((first, passed()), ("soon", HOUR));
        assert!(soon.try_recv().unwrap_err().is_empty() && later.try_recv().unwrap_err().is_empty());
        assert_eq!(later.recv(), Ok(third));
        // `at` reads real time, of which a little had passed.
        assert!(passed() > 2 * HOUR && passed() <= 3 * HOUR);

        // Both due: either, and then the other; biased, the first that is written.
        let (soon, later) = (after(HOUR), after(2 * HOUR));
        pass(2 * HOUR);
        let either = || select! { recv(soon) -> _ => "soon", recv(later) -> _ => "later" };
        let mut both = [either(), either()];
        both.sort();
        assert_eq!(both, ["later", "soon"]);
        let (soon, later) = (after(HOUR), after(2 * HOUR));
        pass(2 * HOUR);
        select_biased! { recv(later) -> _ => {}, recv(soon) -> _ => unreachable!("it comes second") }

        // Late by two periods: one tick is there, and the next is a whole period away.
        let ticks = tick(HOUR);
        pass(3 * HOUR);
        assert_eq!((ticks.len(), ticks.is_full()), (1, true));
        assert!(ticks.try_recv().is_ok() && ticks.try_recv().unwrap_err().is_empty());
        pass(HOUR - Duration::from_nanos(1));
        assert!(ticks.try_recv().unwrap_err().is_empty());
        pass(Duration::from_nanos(1));
        assert!(ticks.try_recv().is_ok());
    });
}

/// A clock, and nothing else: OS threads park as before.
#[test]
fn a_clock_alone() {
    /// Each look is an hour after the last.
    fn now() -> Tick {
        TIME.fetch_add(HOUR.as_nanos() as u64, SeqCst)
    }
    static HOOKS: Hooks = Hooks::new().with_clock(now);

    in_a_process("a_clock_alone", || {
        park::install(&HOOKS).unwrap();
        let before = thread::census();
        let (tx, rx) = bounded(0);
        assert_eq!(rx.recv_timeout(HOUR / 2), Err(RecvTimeoutError::Timeout));
        let sender = spawn(move || {
            while thread::census().asleep == before.asleep {
                yield_now(); // until the receiver is parked, which a spinning one never is
            }
            tx.send(7).unwrap();
        });
        assert_eq!(rx.recv(), Ok(7));
        sender.join().unwrap();
    });
}

/// A slow clock is waited for, although real time is long past what the wait believed to be left.
#[test]
fn a_slow_clock_is_waited_for() {
    /// A millisecond of it takes two looks.
    fn now() -> Tick {
        TIME.fetch_add(500_000, SeqCst)
    }
    static HOOKS: Hooks = Hooks::new().with_clock(now);

    in_a_process("a_slow_clock_is_waited_for", || {
        park::install(&HOOKS).unwrap();
        let (_tx, rx) = bounded::<()>(0);
        let begin = TIME.load(SeqCst);
        assert_eq!(rx.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
        assert!(TIME.load(SeqCst) - begin >= 5_000_000);
    });
}

/// An event flag, as `wfe` and `sev` have one, for each thread that idles.
mod flags {
    use super::*;

    pub(super) static IDLES: AtomicUsize = AtomicUsize::new(0);
    pub(super) static WAKES: AtomicUsize = AtomicUsize::new(0);
    static THREADS: std::sync::Mutex<Vec<Arc<AtomicBool>>> = std::sync::Mutex::new(Vec::new());

    thread_local! {
        static FLAG: Arc<AtomicBool> = {
            let flag = Arc::new(AtomicBool::new(true)); // what came before is unknown
            THREADS.lock().unwrap().push(flag.clone());
            flag
        };
    }

    /// Sleeps until somebody wakes, for ever if nobody does.
    pub(super) fn idle() {
        IDLES.fetch_add(1, SeqCst);
        FLAG.with(|flag| {
            while !flag.swap(false, SeqCst) {
                yield_now();
            }
        });
    }

    pub(super) fn wake() {
        WAKES.fetch_add(1, SeqCst);
        THREADS.lock().unwrap().iter().for_each(|flag| flag.store(true, SeqCst));
    }
}

/// CPUs that sleep until an event: nobody sleeps through one, on any primitive. A wake-up that `idle` does not hear of is a hang.
#[test]
fn idle_cpus_hear_of_every_wake() {
    static HOOKS: Hooks = Hooks::new().with_idle(flags::idle, flags::wake);
    static CHANNEL: StaticChannel<u32, 2> = StaticChannel::new();
    static LOCK: RwLock<u32> = RwLock::new(0);
    const EACH: u32 = 2_000;

    in_a_process("idle_cpus_hear_of_every_wake", || {
        park::install(&HOOKS).unwrap();
        let sum = Arc::new(Mutex::new(0));
        let (tx, rx) = bounded(0);
        let mut threads = Vec::new();
        for _ in 0..2 {
            let tx = tx.clone();
            threads.push(spawn(move || {
                for i in 0..EACH {
                    tx.send(i).unwrap();
                    CHANNEL.sender().send(i).unwrap();
                    *LOCK.write() += 1;
                }
            }));
            let (rx, sum) = (rx.clone(), sum.clone());
            threads.push(spawn(move || {
                for _ in 0..2 * EACH {
                    *sum.lock() += select! {
                        recv(rx) -> value => value.unwrap(),
                        recv(CHANNEL.receiver()) -> value => value.unwrap(),
                    };
                    assert!(*LOCK.read() <= 2 * EACH);
                }
            }));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*sum.lock(), 4 * (0..EACH).sum::<u32>());
        assert!(flags::IDLES.load(SeqCst) > 0 && flags::WAKES.load(SeqCst) > 0);
    });
}

/// The lots of `select!` are the hook's: the same numbers, the same choices.
#[test]
fn random_numbers_are_the_hooks_own() {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    static HOOKS: Hooks = Hooks::new().with_random(|| NUMBER.fetch_add(0x9E37_79B9, SeqCst));

    in_a_process("random_numbers_are_the_hooks_own", || {
        park::install(&HOOKS).unwrap();
        let (tx, a) = bounded(1_000);
        let b = a.clone();
        let choices = || {
            NUMBER.store(1, SeqCst);
            (0..1_000).for_each(|_| tx.send(()).unwrap());
            let choose = |_| {
                select! {
                    recv(a) -> _ => 'a',
                    recv(b) -> _ => 'b',
                }
            };
            (0..1_000).map(choose).collect::<String>()
        };
        let first = choices();
        assert!(first.contains('a') && first.contains('b'), "{first}");
        assert_eq!(choices(), first);
    });
}

#[test]
fn the_first_hooks_stay() {
    static FIRST: Hooks = Hooks::new().with_clock(|| 1);
    static SECOND: Hooks = Hooks::new().with_clock(|| 2);

    in_a_process("the_first_hooks_stay", || {
        assert_eq!(park::install(&FIRST), Ok(()));
        assert_eq!(park::install(&SECOND), Err(AlreadyInstalled));
        assert_eq!(park::install(&FIRST), Ok(()), "the same again");
        assert_eq!(park::now(), 1);
    });
}

/// Alarms on the virtual clock, in a list that a test can read.
mod alarms {
    use super::*;

    static SET: std::sync::Mutex<BTreeMap<(Tick, u64), Waker>> = std::sync::Mutex::new(BTreeMap::new());

    /// How many were ever set.
    pub(super) static NUMBER: AtomicU64 = AtomicU64::new(0);

    pub(super) fn set(tick: Tick, waker: &Waker) -> u64 {
        let number = NUMBER.fetch_add(1, SeqCst);
        SET.lock().unwrap().insert((tick, number), waker.clone());
        number
    }

    pub(super) fn take_back(tick: Tick, number: u64) {
        let alarm = SET.lock().unwrap().remove(&(tick, number));
        drop(alarm);
    }

    /// Those that are set.
    pub(super) fn list() -> Vec<(Tick, u64)> {
        SET.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn ticks() -> Vec<Tick> {
        list().into_iter().map(|(tick, _)| tick).collect()
    }

    /// So much time passes, and what is due goes off.
    pub(super) fn pass(time: Duration) {
        let now = TIME.fetch_add(time.as_nanos() as u64, SeqCst) + time.as_nanos() as u64;
        let mut set = SET.lock().unwrap();
        let later = set.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut *set, later);
        drop(set);
        due.into_values().for_each(Waker::wake);
    }
}

/// A future that waits for the clock has one alarm: for its last waker, at the time that counts, and none once it is over.
#[test]
fn futures_that_wait_for_the_clock_have_one_alarm_each() {
    static HOOKS: Hooks =
        Hooks::new().with_clock(virtual_now).with_alarms(Alarms { set: alarms::set, take_back: alarms::take_back });
    const HOUR_TICKS: Tick = HOUR.as_nanos() as u64;

    #[derive(Default)]
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    /// How often since the last look.
    fn woken(by: &Woken) -> usize {
        by.0.swap(0, SeqCst)
    }

    fn poll<F: Future>(future: &mut Pin<Box<F>>, by: &Arc<Woken>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(&by.clone().into()))
    }

    in_a_process("futures_that_wait_for_the_clock_have_one_alarm_each", || {
        park::install(&HOOKS).unwrap();
        let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));

        // The last waker counts; the same again changes nothing.
        let rx = after(HOUR);
        let due = park::now() + HOUR_TICKS;
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll(&mut receiving, &first).is_pending());
        let set = alarms::list();
        assert!(poll(&mut receiving, &first).is_pending());
        assert_eq!(alarms::list(), set);
        assert!(poll(&mut receiving, &second).is_pending());
        assert_ne!(alarms::list(), set);
        assert_eq!(alarms::ticks(), [due]);
        assert_eq!(Arc::strong_count(&first), 1, "nobody keeps the waker of before");
        alarms::pass(HOUR);
        assert_eq!((woken(&first), woken(&second)), (0, 1));
        assert!(poll(&mut receiving, &second).is_ready());
        drop(receiving);
        assert_eq!(Arc::strong_count(&second), 1);

        // Dropped, it leaves nothing behind; nor does one that is ready before its alarm goes off.
        let rx = after(HOUR);
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll(&mut receiving, &first).is_pending());
        assert_eq!(alarms::ticks().len(), 1);
        drop(receiving);
        assert_eq!((alarms::ticks(), Arc::strong_count(&first)), (vec![], 1));
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll(&mut receiving, &first).is_pending());
        rx.close();
        assert!(woken(&first) > 0);
        assert!(matches!(poll(&mut receiving, &first), Poll::Ready(Err(_))));
        assert_eq!((alarms::ticks(), Arc::strong_count(&first)), (vec![], 1));

        // Two futures for one tick: who comes too late waits for the next one.
        let rx = tick(HOUR);
        let due = park::now() + HOUR_TICKS;
        let (mut one, mut other) = (Box::pin(rx.recv_async()), Box::pin(rx.recv_async()));
        assert!(poll(&mut one, &first).is_pending() && poll(&mut other, &second).is_pending());
        assert_eq!(alarms::ticks(), [due, due]);
        let _ = (woken(&first), woken(&second));
        alarms::pass(HOUR);
        assert_eq!((woken(&first), woken(&second)), (1, 1));
        assert!(poll(&mut one, &first).is_ready());
        assert!(poll(&mut other, &second).is_pending());
        assert_eq!(alarms::ticks(), [due + HOUR_TICKS]);
        alarms::pass(HOUR);
        assert!(poll(&mut other, &second).is_ready());
        assert_eq!(alarms::ticks(), []);

        // Two for one message: for the other nothing ever comes, and it waits for nothing, though its alarm has yet to go off.
        let rx = after(HOUR);
        let (mut one, mut other) = (Box::pin(rx.recv_async()), Box::pin(rx.recv_async()));
        assert!(poll(&mut one, &first).is_pending() && poll(&mut other, &second).is_pending());
        TIME.fetch_add(HOUR_TICKS, SeqCst);
        assert!(poll(&mut other, &second).is_ready());
        assert!(poll(&mut one, &first).is_pending());
        assert_eq!(alarms::ticks(), []);

        // A select that does not sleep needs none, nor does what somebody sends.
        let (rx, before) = (after(HOUR), alarms::NUMBER.load(SeqCst));
        select! {
            wait(rx.recv_async()) -> _ => unreachable!(),
            default => {}
        }
        assert_eq!(alarms::NUMBER.load(SeqCst), before);
        let (tx, rx) = bounded(1);
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll(&mut receiving, &first).is_pending());
        assert_eq!(alarms::ticks(), []);
        tx.send(()).unwrap();
        assert!(poll(&mut receiving, &first).is_ready());
    });
}

/// Every call that may wait, and finds that it need not, lets others go first if it is asked to; a `try_` call does not, nor a
/// send without a bound, nor what only lets go.
#[test]
fn calls_that_may_wait_give_way() {
    static YIELDS: AtomicUsize = AtomicUsize::new(0);
    static HOOKS: Hooks = Hooks::new().with_yield(|| _ = YIELDS.fetch_add(1, SeqCst));

    in_a_process("calls_that_may_wait_give_way", || {
        park::install(&HOOKS).unwrap();
        let yields = |call: &mut dyn FnMut()| {
            let before = YIELDS.load(SeqCst);
            call();
            YIELDS.load(SeqCst) - before
        };
        let (tx, rx) = bounded(8);
        let (endless_tx, endless_rx) = unbounded();
        let (broadcast_tx, mut broadcast_rx) = broadcast::channel(8);
        let (watch_tx, mut watch_rx) = watch::channel(0);
        let (mutex, rw_lock, semaphore, notify) = (Mutex::new(0), RwLock::new(0), Semaphore::new(1), Notify::new());
        let (group, barrier) = (WaitGroup::new(), Barrier::new(1));
        let long = Duration::from_secs(3600);
        let put = |value| _ = tx.try_send(value);

        let mut check = |asked: bool| {
            park::ask_to_yield(asked);
            let ways: &mut [(&str, &mut dyn FnMut())] = &mut [
                ("send", &mut || tx.send(1).unwrap()),
                ("recv", &mut || _ = rx.recv().unwrap()),
                ("send_timeout", &mut || tx.send_timeout(1, long).unwrap()),
                ("recv_timeout", &mut || _ = rx.recv_timeout(long).unwrap()),
                ("recv_many", &mut || {
                    put(1);
                    _ = rx.recv_many(&mut Vec::new(), 1).unwrap();
                }),
                ("iter", &mut || {
                    put(1);
                    _ = rx.iter().next().unwrap();
                }),
                ("select", &mut || {
                    put(1);
                    select! { recv(rx) -> _ => {} }
                }),
                ("select with a time limit", &mut || {
                    put(1);
                    select! { recv(rx) -> _ => {}, default(long) => {} }
                }),
                ("recv of an unbounded channel", &mut || {
                    endless_tx.send(1).unwrap();
                    _ = endless_rx.recv().unwrap();
                }),
                ("broadcast", &mut || {
                    broadcast_tx.send(1).unwrap();
                    _ = broadcast_rx.recv().unwrap();
                }),
                ("watch", &mut || {
                    watch_tx.send(1).unwrap();
                    watch_rx.changed().unwrap();
                }),
                ("oneshot", &mut || {
                    let (tx, rx) = oneshot::channel();
                    tx.send(1).unwrap();
                    _ = rx.recv().unwrap();
                }),
                ("lock", &mut || *mutex.lock() += 1),
                ("lock_timeout", &mut || *mutex.lock_timeout(long).unwrap() += 1),
                ("read", &mut || _ = *rw_lock.read()),
                ("write", &mut || *rw_lock.write() += 1),
                ("acquire", &mut || drop(semaphore.acquire(1).unwrap())),
                ("acquire_timeout", &mut || drop(semaphore.acquire_timeout(1, long).unwrap())),
                ("notify", &mut || {
                    notify.notify_one();
                    notify.wait();
                }),
                ("wait group", &mut || group.wait()),
                ("wait group with a time limit", &mut || group.wait_timeout(long).unwrap()),
                ("barrier", &mut || _ = barrier.wait()),
            ];
            for (name, call) in ways {
                assert_eq!(yields(call) > 0, asked, "{name}, asked: {asked}");
            }
            let no_ways: &mut [(&str, &mut dyn FnMut())] = &mut [
                ("try_send", &mut || tx.try_send(1).unwrap()),
                ("try_recv", &mut || _ = rx.try_recv().unwrap()),
                ("send without a bound", &mut || endless_tx.send(1).unwrap()),
                ("try_recv without a bound", &mut || _ = endless_rx.try_recv().unwrap()),
                ("select with default", &mut || select! { recv(rx) -> _ => {}, default => {} }),
                ("try_lock", &mut || *mutex.try_lock().unwrap() += 1),
                ("try_read", &mut || _ = *rw_lock.try_read().unwrap()),
                ("try_write", &mut || *rw_lock.try_write().unwrap() += 1),
                ("try_acquire", &mut || drop(semaphore.try_acquire(1).unwrap())),
                ("done", &mut || {
                    group.add(1);
                    group.done();
                }),
            ];
            for (name, call) in no_ways {
                assert_eq!(yields(call), 0, "{name}, asked: {asked}");
            }
        };
        check(true);
        check(false);
    });
}
