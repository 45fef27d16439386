//! Signals: who hears them, and what they do when nobody does. Each test is a process of its own, since its signals are the process's.

use greenlight::{
    Drive, LocalRuntime, Runtime,
    channel::{Sender, TryRecvError, bounded, never},
    context::{Context, ContextError},
    go, go_async, select,
    signal::{self, Signal, Signalled},
};
use greenlight_tests::program;
use rustix::process::{getpid, kill_process};
use signal_hook::{flag, low_level::raise as raise_number};
use std::{
    future::Future,
    io::ErrorKind,
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering::*},
    },
    task::{self, Wake, Waker},
    thread,
    time::Duration,
};

const CHILD: &str = "GREENLIGHT_TEST_SIGNAL";
/// A child's exit code if its test has passed: not the one of a harness that has found no test.
const PASSED: i32 = 77;

/// Runs `body` in a process of its own: this test binary again, with the test `name` only. Returns in the parent only.
fn in_child(name: &str, body: impl FnOnce()) -> Output {
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(PASSED);
    }
    let mut command = program(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(CHILD, "1").stdin(Stdio::null());
    command.output().unwrap()
}

fn passes(name: &str, body: impl FnOnce()) {
    let output = in_child(name, body);
    assert_eq!(output.status.code(), Some(PASSED), "{output:?}");
}

/// The body ends with a signal that ends the process.
fn is_ended_by(signal: Signal, name: &str, body: impl FnOnce()) {
    let output = in_child(name, body);
    assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
}

/// To the calling thread: its handler has run when this returns.
fn raise(signal: Signal) {
    raise_number(signal.as_raw()).unwrap();
}

/// To the process: any thread may get it.
fn send(signal: rustix::process::Signal) {
    kill_process(getpid(), signal).unwrap();
}

#[test]
fn every_listener_gets_it_and_others_do_not() {
    passes("every_listener_gets_it_and_others_do_not", || {
        let first = signal::notify(&[Signal::USER_1], 1).unwrap();
        let second = signal::notify(&[Signal::WINDOW_CHANGE, Signal::USER_1, Signal::USER_1], 4).unwrap();
        let other = signal::notify(&[Signal::WINDOW_CHANGE], 4).unwrap();
        let task = go(move || first.recv());
        send(rustix::process::Signal::USR1);
        assert_eq!(task.join().unwrap(), Ok(Signal::USER_1));
        assert_eq!(second.recv(), Ok(Signal::USER_1));
        raise(Signal::WINDOW_CHANGE);
        assert_eq!(other.recv(), Ok(Signal::WINDOW_CHANGE), "and no SIGUSR1 before it");
        assert_eq!(second.recv(), Ok(Signal::WINDOW_CHANGE));
        assert_eq!(second.try_recv(), Err(TryRecvError::Empty), "named twice, heard once");
    });
}

#[test]
fn a_full_channel_holds_up_nobody() {
    passes("a_full_channel_holds_up_nobody", || {
        let full = signal::notify(&[Signal::USER_1, Signal::USER_2], 1).unwrap();
        let wide = signal::notify(&[Signal::USER_1, Signal::USER_2], 4).unwrap();
        for signal in [Signal::USER_1, Signal::USER_2] {
            raise(signal);
            assert_eq!(wide.recv(), Ok(signal));
        }
        assert_eq!(full.try_recv(), Ok(Signal::USER_1));
        assert_eq!(full.try_recv(), Err(TryRecvError::Empty), "the second was lost to it");
    });
}

#[test]
fn an_arm_of_a_select_and_an_iterator() {
    passes("an_arm_of_a_select_and_an_iterator", || {
        let signals = signal::notify(&[Signal::HANGUP, Signal::TERMINATE], 4).unwrap();
        let task = go(move || {
            let hangup = select! {
                recv(never::<()>()) -> _ => unreachable!(),
                recv(signals) -> signal => signal.unwrap(),
            };
            (hangup, signals.iter().next())
        });
        raise(Signal::HANGUP);
        raise(Signal::TERMINATE);
        assert_eq!(task.join().unwrap(), (Signal::HANGUP, Some(Signal::TERMINATE)));
    });
}

#[test]
fn futures_of_our_tasks_and_of_a_foreign_executor() {
    passes("futures_of_our_tasks_and_of_a_foreign_executor", || {
        let ours = go_async(signal::wait_async(&[Signal::USER_1, Signal::USER_2]));
        let foreign = signal::wait_async(&[Signal::USER_2]);
        let foreign = thread::spawn(|| futures_executor::block_on(foreign));
        let arm = signal::wait_async(&[Signal::USER_2]);
        raise(Signal::USER_2);
        assert_eq!(ours.join().unwrap().unwrap(), Signal::USER_2);
        assert_eq!(foreign.join().unwrap().unwrap(), Signal::USER_2);
        select! {
            wait(arm) -> signal => assert_eq!(signal.unwrap(), Signal::USER_2),
            recv(never::<()>()) -> _ => unreachable!(),
        }
        let refused = futures_executor::block_on(signal::wait_async(&[Signal::from_raw(9)]));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn ctrl_c_and_wait_from_green_threads_and_os_threads() {
    passes("ctrl_c_and_wait_from_green_threads_and_os_threads", || {
        // Without it, one that comes before the others listen would end the process.
        let _guard = signal::notify(&[Signal::INTERRUPT], 1).unwrap();
        let green = go(signal::ctrl_c);
        let future = go_async(signal::ctrl_c_async());
        let os = thread::spawn(|| signal::wait(&[Signal::INTERRUPT]));
        while !(green.is_finished() && future.is_finished() && os.is_finished()) {
            send(rustix::process::Signal::INT);
            thread::sleep(Duration::from_millis(1));
        }
        green.join().unwrap().unwrap();
        future.join().unwrap().unwrap();
        assert_eq!(os.join().unwrap().unwrap(), Signal::INTERRUPT);
    });
}

#[test]
fn what_nobody_can_hear_is_refused_with_advice() {
    for (number, name, advice) in [
        (9, "SIGKILL", "listen to SIGTERM"),
        (19, "SIGSTOP", "listen to SIGTSTP"),
        (11, "SIGSEGV", "install a handler"),
        (8, "SIGFPE", "install a handler"),
        (4, "SIGILL", "install a handler"),
        (7, "SIGBUS", "install a handler"),
        (6, "SIGABRT", "install a handler"),
        (0, "signal 0", "no such signal"),
        (65, "signal 65", "no such signal"),
        (-1, "signal -1", "no such signal"),
    ] {
        let error = signal::notify(&[Signal::USER_1, Signal::from_raw(number)], 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let said = error.to_string();
        assert!(said.contains(name) && said.contains(advice), "{said}");
    }
    assert!(signal::notify(&[], 1).unwrap_err().to_string().contains("name one"));
    assert!(signal::notify(&[Signal::USER_1], 0).unwrap_err().to_string().contains("capacity 1"));
    assert!(Context::background().with_signals(&[Signal::from_raw(9)]).is_err());
}

/// Somebody sends a second one at the first moment at which he can know that the context has ended.
#[test]
fn a_second_one_ends_the_process_as_soon_as_the_first_has_ended_the_context() {
    struct Second(Sender<()>);
    impl Wake for Second {
        fn wake(self: Arc<Self>) {
            raise(Signal::INTERRUPT);
            self.0.send(()).unwrap();
        }
    }
    is_ended_by(Signal::INTERRUPT, "a_second_one_ends_the_process_as_soon_as_the_first_has_ended_the_context", || {
        let (ctx, _cancel) = Context::background().with_signals(&[Signal::INTERRUPT]).unwrap();
        let (tx, rx) = bounded(1);
        let waker = Waker::from(Arc::new(Second(tx)));
        let mut done = pin!(ctx.done());
        assert!(done.as_mut().poll(&mut task::Context::from_waker(&waker)).is_pending());
        raise(Signal::INTERRUPT);
        rx.recv().unwrap(); // it had no effect
    });
}

#[test]
fn after_the_last_listener_it_ends_the_process_again() {
    is_ended_by(Signal::TERMINATE, "after_the_last_listener_it_ends_the_process_again", || {
        let first = signal::notify(&[Signal::TERMINATE], 1).unwrap();
        let second = signal::notify(&[Signal::TERMINATE], 4).unwrap();
        raise(Signal::TERMINATE);
        assert_eq!((first.recv(), second.recv()), (Ok(Signal::TERMINATE), Ok(Signal::TERMINATE)));
        let clone = first.clone();
        drop(first);
        assert!(clone.recv().is_err(), "nobody listens for it");
        raise(Signal::TERMINATE);
        assert_eq!(second.recv(), Ok(Signal::TERMINATE), "the second still listens");
        drop(second);
        raise(Signal::TERMINATE);
    });
}

#[test]
fn a_listener_after_the_last_one_hears() {
    passes("a_listener_after_the_last_one_hears", || {
        for _ in 0..100 {
            let signals = signal::notify(&[Signal::USER_1], 1).unwrap();
            raise(Signal::USER_1);
            assert_eq!(signals.recv(), Ok(Signal::USER_1));
        }
    });
}

#[test]
fn what_was_ignored_is_ignored_again() {
    passes("what_was_ignored_is_ignored_again", || {
        // SAFETY: ignoring a signal touches no memory.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        let signals = signal::notify(&[Signal::HANGUP], 1).unwrap();
        raise(Signal::HANGUP);
        assert_eq!(signals.recv(), Ok(Signal::HANGUP));
        drop(signals);
        raise(Signal::HANGUP);
    });
}

#[test]
fn another_library_that_listened_before_goes_on_listening() {
    passes("another_library_that_listened_before_goes_on_listening", || {
        let theirs = Arc::new(AtomicBool::new(false));
        flag::register(Signal::USER_1.as_raw(), theirs.clone()).unwrap();
        let ours = signal::notify(&[Signal::USER_1], 1).unwrap();
        raise(Signal::USER_1);
        assert_eq!(ours.recv(), Ok(Signal::USER_1));
        assert!(theirs.swap(false, SeqCst));
        drop(ours);
        raise(Signal::USER_1);
        assert!(theirs.load(SeqCst));
    });
}

/// Handlers of the program's own, of either kind: each is called with what it takes.
#[test]
fn a_handler_that_was_there_before_is_called_as_it_was() {
    static HEARD: [AtomicI32; 2] = [const { AtomicI32::new(0) }; 2];
    extern "C" fn simple(number: i32) {
        HEARD[0].store(number, SeqCst);
    }
    extern "C" fn with_info(number: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system's, valid while the handler runs.
        HEARD[1].store(number + unsafe { (*info).si_signo }, SeqCst);
        // SAFETY: the thread's own.
        unsafe { *libc::__errno_location() = libc::EPERM };
    }
    passes("a_handler_that_was_there_before_is_called_as_it_was", || {
        let install = |signal: Signal, handler, flags| {
            // SAFETY: plain data; the handlers store numbers, and nothing else.
            unsafe {
                let mut action = std::mem::zeroed::<libc::sigaction>();
                (action.sa_sigaction, action.sa_flags) = (handler, flags);
                assert_eq!(libc::sigaction(signal.as_raw(), &action, std::ptr::null_mut()), 0);
            }
        };
        install(Signal::USER_1, simple as extern "C" fn(i32) as usize, 0);
        let three: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = with_info;
        install(Signal::USER_2, three as usize, libc::SA_SIGINFO);
        let signals = signal::notify(&[Signal::USER_1, Signal::USER_2], 2).unwrap();
        // SAFETY: the thread's own, here and below.
        unsafe { *libc::__errno_location() = libc::EAGAIN };
        raise(Signal::USER_1);
        raise(Signal::USER_2);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN), "the handler left its own");
        let numbers = [Signal::USER_1, Signal::USER_2].map(Signal::as_raw);
        let heard = || HEARD.each_ref().map(|heard| heard.swap(0, SeqCst));
        assert_eq!(heard(), [numbers[0], 2 * numbers[1]]);
        let mut ours = [signals.recv().unwrap(), signals.recv().unwrap()];
        ours.sort_unstable();
        assert_eq!(ours, [Signal::USER_1, Signal::USER_2]);
        drop(signals);
        raise(Signal::USER_1);
        raise(Signal::USER_2);
        assert_eq!(heard(), [numbers[0], 2 * numbers[1]], "nobody listens: they have the signals to themselves");
    });
}

#[test]
fn a_context_ends_with_the_first_signal_and_the_second_ends_the_process() {
    let name = "a_context_ends_with_the_first_signal_and_the_second_ends_the_process";
    is_ended_by(Signal::INTERRUPT, name, || {
        let signals = [Signal::INTERRUPT, Signal::TERMINATE];
        let (ctx, _cancel) = Context::background().with_signals(&signals).unwrap();
        let (child, _) = ctx.with_cancel();
        let (tx, rx) = bounded(1);
        ctx.after_func(move || tx.send(1)).detach();
        assert!(!ctx.is_done());
        let task = go(move || child.wait());
        send(rustix::process::Signal::INT);
        assert_eq!(ctx.wait(), ContextError::Cancelled);
        assert_eq!(task.join().unwrap(), ContextError::Cancelled);
        assert_eq!(rx.recv(), Ok(1));
        let cause = ctx.cause().unwrap();
        assert_eq!(cause.downcast_ref(), Some(&Signalled(Signal::INTERRUPT)));
        assert_eq!(cause.to_string(), "SIGINT was received");
        raise(Signal::INTERRUPT);
    });
}

#[test]
fn a_context_that_is_cancelled_listens_no_more() {
    is_ended_by(Signal::USER_1, "a_context_that_is_cancelled_listens_no_more", || {
        let (ctx, cancel) = Context::background().with_signals(&[Signal::USER_1]).unwrap();
        cancel.cancel();
        assert!(ctx.cause().unwrap().downcast_ref::<Signalled>().is_none());
        raise(Signal::USER_1);
    });
}

#[test]
fn a_context_that_nobody_has_listens_no_more() {
    is_ended_by(Signal::USER_2, "a_context_that_nobody_has_listens_no_more", || {
        drop(Context::background().with_signals(&[Signal::USER_2]).unwrap());
        raise(Signal::USER_2);
    });
}

#[test]
fn a_context_whose_parent_has_ended_never_listens() {
    is_ended_by(Signal::USER_2, "a_context_whose_parent_has_ended_never_listens", || {
        let (parent, cancel) = Context::background().with_cancel();
        cancel.cancel();
        let (ctx, _cancel) = parent.with_signals(&[Signal::USER_2]).unwrap();
        assert!(ctx.is_done());
        raise(Signal::USER_2);
    });
}

#[test]
fn a_wait_that_is_cancelled_listens_no_more() {
    is_ended_by(Signal::USER_1, "a_wait_that_is_cancelled_listens_no_more", || {
        let (tx, rx) = bounded(0);
        let task = go(move || {
            tx.send(()).unwrap();
            signal::wait(&[Signal::USER_1])
        });
        rx.recv().unwrap();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        raise(Signal::USER_1);
    });
}

#[test]
fn in_a_runtime_that_its_owner_drives() {
    passes("in_a_runtime_that_its_owner_drives", || {
        let (bell, rings) = std::sync::mpsc::channel();
        let runtime = LocalRuntime::with_wake(move || _ = bell.send(())).unwrap();
        let task = runtime.go(|| {
            let signals = signal::notify(&[Signal::USER_1], 1).unwrap();
            raise(Signal::USER_1);
            let first = signals.recv();
            (first, signal::wait(&[Signal::WINDOW_CHANGE]).unwrap())
        });
        // One that comes too early is ignored.
        let over = Arc::new(AtomicBool::new(false));
        let sender = thread::spawn({
            let over = over.clone();
            move || {
                while !over.load(SeqCst) {
                    send(rustix::process::Signal::WINCH);
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        while let Drive { live: 1.., .. } = runtime.drive() {
            rings.recv().unwrap(); // the host sleeps until somebody brings work
        }
        over.store(true, SeqCst);
        sender.join().unwrap();
        assert_eq!(task.join().unwrap(), (Ok(Signal::USER_1), Signal::WINDOW_CHANGE));
    });
}

/// Whoever sees that there is a handler may send the signal: so it is in order from its first moment.
#[test]
fn one_that_comes_at_the_first_moment_is_heard() {
    passes("one_that_comes_at_the_first_moment_is_heard", || {
        // Those that nobody has listened to yet: each has one first moment in a process. Emulators keep the last ones to themselves.
        for number in libc::SIGRTMIN()..libc::SIGRTMAX() - 3 {
            let sender = thread::spawn(move || {
                while handler(number) == libc::SIG_DFL {
                    std::hint::spin_loop();
                }
                raise_number(number).unwrap();
            });
            let signals = signal::notify(&[Signal::from_raw(number)], 1).unwrap();
            assert_eq!(signals.recv_timeout(Duration::from_secs(10)), Ok(Signal::from_raw(number)), "signal {number}");
            sender.join().unwrap();
        }
    });
}

fn handler(number: i32) -> usize {
    // SAFETY: plain data; it asks only.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(number, std::ptr::null(), &mut action);
        action.sa_sigaction
    }
}

/// The bell was registered with a worker that has ended since.
#[test]
fn a_runtime_that_ends_takes_no_listener_along() {
    passes("a_runtime_that_ends_takes_no_listener_along", || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let signals = runtime.run(|| signal::notify(&[Signal::USER_1], 1).unwrap());
        assert!(runtime.shutdown(Duration::MAX).left().is_empty());
        raise(Signal::USER_1);
        assert_eq!(signals.recv(), Ok(Signal::USER_1));
    });
}

/// SIGWINCH, which harms nobody when nobody listens.
#[test]
fn listeners_come_and_go_while_signals_rain() {
    passes("listeners_come_and_go_while_signals_rain", || {
        let steady = signal::notify(&[Signal::WINDOW_CHANGE], 1).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let rain: Vec<_> = (0..2)
            .map(|_| {
                let over = over.clone();
                thread::spawn(move || {
                    while !over.load(SeqCst) {
                        send(rustix::process::Signal::WINCH);
                        raise(Signal::WINDOW_CHANGE);
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let comers: Vec<_> = (0..8)
            .map(|_| go(|| (0..50).for_each(|_| _ = signal::wait(&[Signal::WINDOW_CHANGE, Signal::HANGUP]).unwrap())))
            .collect();
        comers.into_iter().for_each(|comer| comer.join().unwrap());
        over.store(true, SeqCst);
        rain.into_iter().for_each(|thread| thread.join().unwrap());
        // What came before may be in it, or still on the way; the last one is heard in any case, or one that stands for it.
        while steady.try_recv().is_ok() {}
        raise(Signal::WINDOW_CHANGE);
        assert_eq!(steady.recv(), Ok(Signal::WINDOW_CHANGE));
    });
}
