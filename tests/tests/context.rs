//! Contexts: the cases of Go's `context/context_test.go`, `x_test.go` and `afterfunc_test.go`, written anew; and what is
//! ours: trees of any depth and width, waits by green threads, OS threads and futures, foreign wakers that panic.
//!
//! | Go's cases                                                | here                                                     |
//! |-----------------------------------------------------------|----------------------------------------------------------|
//! | Background, TODO                                          | `the_background_never_ends`                              |
//! | WithCancel, ParentFinishesChild, ChildFinishesFirst       | `a_child_ends_with_its_parent_or_before`                 |
//! | Deadline, Timeout, CanceledTimeout, Layers…               | `deadlines…`, `layers…`                                  |
//! | Values, WithValueChecksKey, InvalidDerivedFail            | `values…`; the other two do not compile                  |
//! | SimultaneousCancels, InterlockedCancels                   | `many_cancel_at_once`                                    |
//! | CancelRemoves, Allocs                                     | `children_that_go_leave_nothing` (in the module's tests) |
//! | WithCancelCanceledParent, Cause, CauseRace, WithCancelCause | `causes`, `the_first_cause_stays`                      |
//! | WithoutCancel                                             | `without_cancel…`                                        |
//! | AfterFunc: …                                              | `after_func…`                                            |
//! | DeadlineExceededIsNetError, WithDeadlineExceeds…          | left out: they are about Go's types                      |

use futures_executor::block_on;
use greenlight::{
    WaitGroup,
    channel::{RecvTimeoutError, bounded, never},
    context::{AfterFunc, Cancel, Context, ContextError},
    go, run, select, sleep,
    time::Instant,
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::{Poll, Wake, Waker},
    thread,
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

fn cancelled(ctx: &Context) -> bool {
    ctx.err() == Some(ContextError::Cancelled)
}

#[test]
fn the_background_never_ends() {
    let ctx = Context::background();
    assert!(!ctx.is_done() && ctx.err().is_none() && ctx.cause().is_none() && ctx.deadline().is_none());
    assert!(ctx.check().is_ok() && ctx.ended_at().is_none());
    assert!(ctx.wait_timeout(SHORT).is_err());
    let mut done = pin!(ctx.done());
    assert!(done.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
    select! {
        wait(ctx.done()) -> _ => unreachable!(),
        default => {}
    }
}

#[test]
fn a_child_ends_with_its_parent_or_before() {
    let (parent, cancel_parent) = Context::background().with_cancel();
    let (first, cancel_first) = parent.with_cancel();
    let (second, _keep) = parent.with_value(7).with_timeout(LONG);
    let (grandchild, _) = second.with_cancel();
    cancel_first.cancel();
    assert!(cancelled(&first) && !parent.is_done() && !second.is_done());
    cancel_parent.cancel();
    assert!([&parent, &first, &second, &grandchild].into_iter().all(cancelled));
    // A child of one that has ended is born so.
    let (late, _) = grandchild.with_timeout(LONG);
    assert!(cancelled(&late));
    assert_eq!(late.ended_at().unwrap().file(), file!());
}

#[test]
fn deadlines_end_contexts_and_the_earlier_one_counts() {
    let start = Instant::now();
    let (ctx, _cancel) = Context::background().with_timeout(SHORT);
    assert!(ctx.deadline().unwrap() >= start + SHORT);
    assert_eq!(ctx.wait(), ContextError::DeadlineExceeded);
    assert!(start.elapsed() >= SHORT);
    // A child cannot live longer, and a clone or a value changes nothing.
    let (parent, _cancel) = Context::background().with_timeout(SHORT);
    let (child, _cancel) = parent.with_value("more").with_deadline(Instant::now() + LONG);
    assert_eq!(child.deadline(), parent.deadline());
    assert_eq!(child.wait(), ContextError::DeadlineExceeded);
    let (child, _cancel) = Context::background().with_timeout(LONG).0.with_timeout(SHORT);
    assert_eq!(child.wait_timeout(LONG), Ok(ContextError::DeadlineExceeded));
}

#[test]
fn deadlines_of_any_length() {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::MAX);
    assert_eq!(ctx.deadline(), None);
    assert!(!ctx.is_done());
    let (ctx, _cancel) = Context::background().with_timeout(Duration::ZERO);
    assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
    let (ctx, cancel) = Context::background().with_deadline(Instant::NEVER);
    assert!(ctx.wait_timeout(SHORT).is_err());
    cancel.cancel();
    assert_eq!(ctx.wait_timeout(Duration::MAX), Ok(ContextError::Cancelled));
}

#[test]
fn a_cancel_before_the_deadline_is_what_stays() {
    loop {
        let (ctx, cancel) = Context::background().with_timeout(SHORT);
        cancel.cancel();
        let end = ctx.err();
        sleep(2 * SHORT);
        assert_eq!(ctx.err(), end, "the first end stays");
        if cancelled(&ctx) {
            break; // not so if the machine was busy for as long as that
        }
    }
}

#[test]
fn values_are_found_by_their_type_and_the_latest_hides_the_others() {
    #[derive(Debug, PartialEq)]
    struct A(i32);
    #[derive(Debug, PartialEq)]
    struct B(String);
    let root = Context::background();
    let one = root.with_value(A(1));
    let both = one.with_value(B("b".into()));
    let hidden = both.with_value(A(2));
    let (child, _cancel) = hidden.with_cancel();
    assert_eq!(root.value::<A>(), None);
    assert_eq!((one.value::<A>(), one.value::<B>()), (Some(&A(1)), None));
    assert_eq!((both.value::<A>(), both.value::<B>()), (Some(&A(1)), Some(&B("b".into()))));
    assert_eq!((child.value::<A>(), child.value::<B>()), (Some(&A(2)), Some(&B("b".into()))));
    assert_eq!(child.without_cancel().value::<A>(), Some(&A(2)));
}

#[test]
fn without_cancel_outlives_its_parent() {
    let (parent, cancel) = Context::background().with_value(7).with_timeout(LONG);
    let free = parent.without_cancel();
    let (child, cancel_child) = free.with_cancel();
    cancel.cancel();
    assert!(cancelled(&parent) && !free.is_done() && !child.is_done() && free.deadline().is_none());
    assert_eq!(child.value::<i32>(), Some(&7));
    cancel_child.cancel();
    assert!(cancelled(&child) && !free.is_done());
}

#[test]
fn causes() {
    fn cause(ctx: &Context) -> String {
        ctx.cause().unwrap().to_string()
    }
    // Without one, it is the error itself.
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel();
    assert_eq!(cause(&ctx), "context cancelled");
    // The parent's, for all below.
    let (parent, cancel) = Context::background().with_cancel();
    let (child, cancel_child) = parent.with_timeout_cause(LONG, "too late");
    cancel.cancel_with("parent");
    cancel_child.cancel_with("child");
    assert_eq!((cause(&parent), cause(&child)), ("parent".into(), "parent".into()));
    // The child's own, if it was first.
    let (parent, cancel) = Context::background().with_cancel();
    let (child, cancel_child) = parent.with_cancel();
    cancel_child.cancel_with("child");
    cancel.cancel_with("parent");
    assert_eq!((cause(&parent), cause(&child)), ("parent".into(), "child".into()));
    // The deadline's, if it passes; and not if somebody cancels before.
    let (late, _cancel) = Context::background().with_timeout_cause(SHORT, "too late");
    assert_eq!(late.wait(), ContextError::DeadlineExceeded);
    assert_eq!(cause(&late), "too late");
    let (born_late, _cancel) = Context::background().with_deadline_cause(Instant::now(), "born late");
    assert_eq!(cause(&born_late), "born late");
    let (ctx, cancel) = Context::background().with_timeout_cause(LONG, "too late");
    cancel.cancel();
    assert_eq!(cause(&ctx), "context cancelled");
    // A type of one's own comes out as what it is.
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel_with(std::io::Error::other("disk"));
    assert!(ctx.cause().unwrap().downcast_ref::<std::io::Error>().is_some());
}

#[test]
fn the_first_cause_stays() {
    for _ in 0..50 {
        let (ctx, cancel) = Context::background().with_cancel();
        let tasks: Vec<_> = (0..4)
            .map(|i| {
                let (ctx, cancel) = (ctx.clone(), cancel.clone());
                go(move || {
                    cancel.cancel_with(i.to_string());
                    ctx.cause().unwrap().to_string()
                })
            })
            .collect();
        let told: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
        assert!(told.iter().all(|cause| *cause == told[0]), "{told:?}");
    }
}

/// A tree of contexts, every branch of which is cancelled by somebody while others make and drop children.
#[test]
fn many_cancel_at_once() {
    let (root, cancel_root) = Context::background().with_cancel();
    let wg = WaitGroup::new();
    let mut leaves = vec![(root.clone(), cancel_root.clone())];
    for _ in 0..20 {
        let next: Vec<(Context, Cancel)> =
            leaves.iter().take(5).flat_map(|(ctx, _)| (0..2).map(|_| ctx.with_cancel())).collect();
        leaves.extend(next);
    }
    for (ctx, cancel) in leaves.clone() {
        wg.go(move || {
            let children: Vec<_> = (0..10).map(|_| ctx.with_timeout(LONG)).collect();
            cancel.cancel();
            assert!(cancelled(&ctx));
            children.iter().for_each(|(child, _)| assert!(cancelled(child) || child.wait() == ContextError::Cancelled));
        });
    }
    wg.wait();
    assert!(leaves.iter().all(|(ctx, _)| cancelled(ctx)));
}

#[test]
fn everybody_hears_green_threads_os_threads_and_futures() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (ready_tx, ready) = bounded(0);
    let green = go({
        let (ctx, ready) = (ctx.clone(), ready_tx.clone());
        move || {
            ready.send(()).unwrap();
            ctx.wait()
        }
    });
    let selecting = go({
        let (ctx, ready) = (ctx.clone(), ready_tx.clone());
        move || {
            ready.send(()).unwrap();
            select! {
                recv(never::<i32>()) -> _ => unreachable!(),
                wait(ctx.done()) -> why => why,
            }
        }
    });
    let thread = thread::spawn({
        let (ctx, ready) = (ctx.clone(), ready_tx.clone());
        move || {
            ready.send(()).unwrap();
            ctx.wait_timeout(LONG).unwrap()
        }
    });
    let future = thread::spawn({
        let ctx = ctx.clone();
        move || {
            ready_tx.send(()).unwrap();
            block_on(ctx.done())
        }
    });
    (0..4).for_each(|_| ready.recv().unwrap());
    sleep(SHORT);
    cancel.cancel();
    let heard = [green.join().unwrap(), selecting.join().unwrap(), thread.join().unwrap(), future.join().unwrap()];
    assert_eq!(heard, [ContextError::Cancelled; 4]);
    // Who comes late is not kept.
    assert_eq!(ctx.wait(), ContextError::Cancelled);
    assert_eq!(block_on(ctx.done()), ContextError::Cancelled);
}

#[test]
fn a_deadline_ends_a_select() {
    let (ctx, _cancel) = Context::background().with_timeout(SHORT);
    let why = run(move || {
        select! {
            recv(never::<i32>()) -> _ => unreachable!(),
            wait(ctx.done()) -> why => why,
        }
    });
    assert_eq!(why, ContextError::DeadlineExceeded);
}

#[test]
fn a_guard_cancels_also_by_a_panic() {
    let (ctx, cancel) = Context::background().with_cancel();
    let task = go(move || {
        let _guard = cancel.on_drop();
        panic!("on the way");
    });
    assert_eq!(ctx.wait(), ContextError::Cancelled);
    assert!(task.join().is_err());
}

#[test]
fn a_chain_of_any_length_ends_and_goes_on_a_small_stack() {
    run(|| {
        const DEPTH: usize = 100_000;
        let (root, cancel) = Context::background().with_cancel();
        let mut leaf = root.with_value(0);
        for i in 1..=DEPTH {
            leaf = leaf.with_cancel().0.with_value(i);
        }
        assert_eq!(leaf.value::<usize>(), Some(&DEPTH));
        cancel.cancel();
        assert!(cancelled(&leaf));
        drop(leaf);
        // And one that was never cancelled.
        let mut leaf = root.without_cancel();
        (0..DEPTH).for_each(|i| leaf = leaf.with_timeout(LONG).0.with_value(i));
        drop(leaf);
    });
}

#[test]
fn a_hundred_thousand_children_hear_with_no_task_each() {
    let (ctx, cancel) = Context::background().with_cancel();
    let children: Vec<_> = (0..100_000).map(|_| ctx.with_cancel().0).collect();
    cancel.cancel();
    assert!(children.iter().all(cancelled));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a foreign waker");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_hearing() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (child, _keep) = ctx.with_cancel();
    let (tx, rx) = bounded(1);
    ctx.after_func(move || tx.send(()).unwrap()).detach();
    let waker = Waker::from(Arc::new(Panics));
    let mut done = Box::pin(ctx.done());
    assert_eq!(done.as_mut().poll(&mut std::task::Context::from_waker(&waker)), Poll::Pending);
    let told = std::panic::catch_unwind(|| cancel.cancel()).unwrap_err();
    assert_eq!(told.downcast_ref(), Some(&"a foreign waker"));
    assert!(cancelled(&child));
    assert_eq!(rx.recv(), Ok(()));
}

fn counted_call(ctx: &Context) -> (AfterFunc, greenlight::channel::Receiver<usize>) {
    let (tx, rx) = bounded(2);
    let calls = Arc::new(AtomicUsize::new(0));
    (ctx.after_func(move || tx.send(calls.fetch_add(1, SeqCst) + 1).unwrap()), rx)
}

#[test]
fn after_func_is_called_once_after_the_end() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (call, calls) = counted_call(&ctx);
    assert_eq!(calls.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    cancel.cancel();
    cancel.cancel();
    assert_eq!(calls.recv(), Ok(1));
    assert!(!call.stop());
    assert!(calls.recv().is_err(), "the call is gone, and was made once");
    // By a deadline.
    let (ctx, _cancel) = Context::background().with_timeout(SHORT);
    let (_call, calls) = counted_call(&ctx);
    assert_eq!(calls.recv(), Ok(1));
    // On a context that has ended: at once.
    let (call, calls) = counted_call(&ctx);
    assert_eq!(calls.recv(), Ok(1));
    assert!(!call.stop());
}

#[test]
fn after_func_stop_tells_whether_it_was_in_time() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (call, calls) = counted_call(&ctx);
    assert!(call.stop());
    assert!(!call.stop(), "it was taken back before");
    let (dropped, dropped_calls) = counted_call(&ctx);
    drop(dropped);
    cancel.cancel();
    assert!(calls.recv().is_err() && dropped_calls.recv().is_err(), "neither was made, and both are gone");
    let never = Context::background().after_func(|| unreachable!());
    assert!(never.stop() && !never.stop());
}

#[test]
fn after_func_stop_and_cancel_race_and_one_wins() {
    for _ in 0..200 {
        let (ctx, cancel) = Context::background().with_cancel();
        let (call, calls) = counted_call(&ctx);
        let canceller = go(move || cancel.cancel());
        let stopped = call.stop();
        canceller.join().unwrap();
        assert_eq!(calls.recv().is_err(), stopped);
    }
}

#[test]
fn after_func_detached_outlives_every_handle() {
    let (parent, cancel) = Context::background().with_cancel();
    let (tx, rx) = bounded(1);
    let (child, cancel_child) = parent.with_cancel();
    child.after_func(move || tx.send(()).unwrap()).detach();
    drop((child, cancel_child));
    cancel.cancel();
    assert_eq!(rx.recv(), Ok(()));
}

#[test]
fn after_func_does_not_keep_the_canceller() {
    run(|| {
        let (ctx, cancel) = Context::background().with_cancel();
        let (tx, rx) = bounded(0);
        let call = ctx.after_func(move || tx.send(()));
        cancel.cancel(); // returns, though nobody receives yet
        rx.recv().unwrap();
        drop(call);
    });
}
