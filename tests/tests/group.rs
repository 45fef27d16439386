//! Groups, single flights, pools, parallel loops: the cases of Go's `errgroup_test.go` and `singleflight_test.go`, written
//! anew, and what is ours.
//!
//! | Go's cases                                              | here                                        |
//! |---------------------------------------------------------|---------------------------------------------|
//! | errgroup: ZeroGroup, JustErrors                         | `the_first_error_is_the_outcome`            |
//! | errgroup: WithContext, CancelCause                      | `an_error_ends_the_context…`                |
//! | errgroup: TryGo, GoLimit, SetLimit's panic              | `a_limit…`, `try_go…`                       |
//! | errgroup: Panic, Goexit                                 | `a_panic…`                                  |
//! | singleflight: Do, DoErr, DoDupSuppress                  | `one_call_for_all…`                         |
//! | singleflight: Forget, ForgetUnshared                    | `forgotten…`                                |
//! | singleflight: DoChan, DoTimeout                         | `started…`                                  |
//! | singleflight: PanicDo, PanicDoChan, PanicDoSharedByDoChan | `a_panic_of_the_leader…`                  |
//! | singleflight: GoexitDo                                  | left out: there is no such thing            |

use futures_executor::block_on;
use greenlight::{
    Runtime, WaitGroup,
    channel::{bounded, never},
    context::{Context, ContextError},
    go,
    group::{CollectAll, Group, Parallel, Pool, SingleFlight, parallel_for, parallel_map},
    run, select, sleep, yield_now,
};
use std::{
    any::Any,
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(10);

fn background() -> Context {
    Context::background()
}

fn panic_of<T>(f: impl FnOnce() -> T) -> Box<dyn Any + Send> {
    catch_unwind(AssertUnwindSafe(f)).err().expect("it panics")
}

#[test]
fn the_first_error_is_the_outcome() {
    for errors in [vec![], vec![1], vec![1, 2]] {
        let group = Group::new(&background());
        let expected = errors.first().copied();
        for error in errors {
            group.go(move || Err(error));
            // The next one starts when it is over.
            while group.running() > 0 {
                yield_now();
            }
        }
        group.go(|| Ok(()));
        assert_eq!(group.wait(), expected.map_or(Ok(()), Err));
        assert_eq!(group.wait(), Ok(()), "an outcome is taken once");
    }
}

#[test]
fn an_error_ends_the_context_and_wait_does() {
    let (ctx, _cancel) = background().with_value(7).with_cancel();
    let group: Group<_> = Group::new(&ctx);
    let waiting = group.context().clone();
    assert_eq!(waiting.value(), Some(&7));
    group.go(move || {
        assert_eq!(waiting.wait(), ContextError::Cancelled);
        Ok(())
    });
    group.go(|| Err("one fails"));
    assert_eq!(group.wait(), Err("one fails"));
    assert_eq!(group.context().cause().unwrap().to_string(), "a task of the group has settled it");
    assert!(!ctx.is_done());
    // Without an error it ends when all have ended.
    let group = Group::collect_all(&ctx);
    group.go(|| 1);
    assert!(!group.context().is_done());
    assert_eq!(group.wait(), [1]);
    assert!(group.context().is_done());
    // And with its parent.
    let (ctx, cancel) = background().with_cancel();
    let group = Group::collect_all(&ctx);
    let waiting = group.context().clone();
    group.go(move || waiting.wait());
    cancel.cancel();
    assert_eq!(group.wait(), [ContextError::Cancelled]);
}

#[test]
fn all_results_come_in_the_order_of_the_starts() {
    let group = Group::collect_all(&background());
    for i in 0..20 {
        group.go(move || {
            sleep(Duration::from_millis(20 - i));
            i
        });
    }
    assert_eq!(group.wait(), (0..20).collect::<Vec<_>>());
    assert!(group.try_wait().unwrap().is_empty());
}

#[test]
fn the_first_success_ends_the_others() {
    let group = Group::first_success(&background());
    group.go(|| Err(1));
    for i in 0..5 {
        let ctx = group.context().clone();
        group.go(move || {
            ctx.wait();
            Err(2 + i)
        });
    }
    group.go(|| Ok("won"));
    assert_eq!(group.wait(), Ok("won"));
    let group: Group<_> = Group::<greenlight::group::FirstSuccess<(), i32>>::first_success(&background());
    (0..5).for_each(|i| group.go(move || Err(i)));
    assert_eq!(group.wait(), Err(vec![0, 1, 2, 3, 4]));
}

#[test]
fn a_panic_ends_the_context_at_once_and_comes_at_wait() {
    let group = Group::collect_all(&background());
    let ctx = group.context().clone();
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    group.go(move || {
        ctx.wait();
        count.fetch_add(1, SeqCst);
    });
    group.go(|| panic!("the first"));
    let payload = panic_of(|| group.wait());
    assert_eq!(payload.downcast_ref(), Some(&"the first"));
    assert_eq!(told.load(SeqCst), 1, "wait waits for all");
    assert_eq!(group.context().cause().unwrap().to_string(), "a task of the group panicked");
    group.wait();
}

/// Counts its drops, and fails in them if it is told to.
struct Payload(Arc<AtomicUsize>, bool);

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        assert!(!self.1, "the drop panics too");
    }
}

#[test]
fn what_later_panics_of_a_parallel_loop_carry_is_dropped() {
    everywhere(|| {
        let (drops, both) = (Arc::new(AtomicUsize::new(0)), greenlight::Barrier::new(2));
        let fails = |_| {
            both.wait();
            resume_unwind(Box::new(Payload(drops.clone(), false)))
        };
        drop(panic_of(|| Parallel::new().tasks(2).chunk(1).for_each(0..2, fails)));
        assert_eq!(drops.load(SeqCst), 2);
    });
}

#[test]
fn what_later_panics_carry_is_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let group = Group::collect_all(&background());
    group.go(|| resume_unwind(Box::new("the first")));
    while group.context().err().is_none() {
        thread::yield_now();
    }
    for fails in [false, true] {
        let payload = Payload(drops.clone(), fails);
        group.go(move || resume_unwind(Box::new(payload)));
    }
    assert_eq!(panic_of(|| group.wait()).downcast_ref(), Some(&"the first"));
    assert_eq!(drops.load(SeqCst), 2);
    group.wait();
}

#[test]
fn a_limit_holds_and_go_waits_for_a_place() {
    for limit in [1, 3] {
        let group = Group::collect_all(&background());
        group.set_limit(limit);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for i in 0..30 {
            let (now, most) = (now.clone(), most.clone());
            group.go(move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(Duration::from_micros(i * 10));
                now.fetch_sub(1, SeqCst);
            });
        }
        group.wait();
        assert!(most.load(SeqCst) <= limit);
    }
}

#[test]
fn a_limit_cannot_change_under_a_running_task() {
    let group = Group::collect_all(&background());
    let (tx, rx) = bounded::<()>(0);
    group.go(move || rx.recv().is_ok());
    let payload = panic_of(|| group.set_limit(2));
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "Group::set_limit: 1 tasks are running");
    drop(tx);
    group.wait();
    group.set_limit(2);
}

#[test]
fn try_go_gives_the_closure_back() {
    let group = Group::collect_all(&background());
    group.set_limit(0);
    assert!(group.try_go(|| 0).is_err());
    group.set_limit(1);
    let (tx, rx) = bounded::<()>(0);
    assert!(group.try_go(move || rx.recv().map_or(1, |()| 2)).is_ok());
    let back = group.try_go(|| 3).unwrap_err();
    assert_eq!(back(), 3);
    assert!(group.try_wait().is_none());
    drop(tx);
    assert_eq!(group.wait(), [1]);
    group.set_limit(usize::MAX);
    (0..100).for_each(|_| group.go(|| 1));
    assert_eq!(group.wait().len(), 100);
}

#[test]
fn groups_are_waited_for_from_everywhere_and_grow_meanwhile() {
    fn tree(group: &Group<CollectAll<u32>>, depth: u32) {
        for _ in 0..2 {
            let inner = group.clone();
            group.go(move || {
                if depth > 0 {
                    tree(&inner, depth - 1);
                }
                depth
            });
        }
    }
    let group = Group::collect_all(&background());
    tree(&group, 5);
    assert_eq!(block_on(group.wait_async()).len(), 2 + 4 + 8 + 16 + 32 + 64);
    let sum = run(|| {
        let group = Group::collect_all(&background());
        (0..100).for_each(|i| group.go(move || i));
        select! {
            recv(never::<i32>()) -> _ => unreachable!(),
            wait(group.wait_async()) -> all => all.into_iter().sum::<i32>(),
        }
    });
    assert_eq!(sum, 4950);
}

#[test]
fn one_call_for_all_who_ask_at_the_same_time() {
    let flights = SingleFlight::new();
    assert_eq!(flights.call(1, || "alone"), ("alone", false));
    let (calls, asking) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, wait) = bounded::<()>(0);
    let tasks: Vec<_> = (0..10)
        .map(|i| {
            let (flights, calls, asking, wait) = (flights.clone(), calls.clone(), asking.clone(), wait.clone());
            let ask = move || {
                asking.fetch_add(1, SeqCst);
                flights.call(2, || {
                    let _ = wait.recv();
                    calls.fetch_add(1, SeqCst);
                    "shared"
                })
            };
            // From green threads and OS threads alike.
            if i % 2 == 0 { Ok(go(ask)) } else { Err(thread::spawn(ask)) }
        })
        .collect();
    while asking.load(SeqCst) < 10 {
        sleep(SHORT);
    }
    sleep(SHORT);
    drop(gate);
    let told: Vec<_> = tasks
        .into_iter()
        .map(|task| match task {
            Ok(green) => green.join().unwrap(),
            Err(thread) => thread.join().unwrap(),
        })
        .collect();
    assert!(told.iter().all(|(value, _)| *value == "shared"));
    // Whoever comes too late makes a call of his own; and who shares it, knows.
    let calls = calls.load(SeqCst);
    let alone = told.iter().filter(|(_, shared)| !shared).count();
    assert!((1..=10).contains(&calls) && alone <= calls && (calls > 1 || alone == 0), "{calls} {alone}");
    // An error is a value like any other.
    let flights = SingleFlight::new();
    assert_eq!(flights.call((), || Err::<(), _>("failed")), (Err("failed"), false));
}

#[test]
fn other_keys_do_not_wait() {
    let flights = SingleFlight::new();
    let inner = flights.clone();
    assert_eq!(flights.call(1, || inner.call(2, || 2).0 + 1), (3, false));
}

#[test]
fn forgotten_a_call_goes_on_and_the_next_begins_anew() {
    let flights = SingleFlight::new();
    let (gate, wait) = bounded::<()>(0);
    let first = flights.start("key", move || {
        let _ = wait.recv();
        1
    });
    let follower = flights.start("key", || unreachable!());
    flights.forget(&"key");
    assert_eq!(flights.call("key", || 2), (2, false));
    assert!(first.try_wait().is_none());
    // The end of the first does not take the third off the list.
    let (third_gate, third_wait) = bounded::<()>(0);
    let third = flights.start("key", move || {
        let _ = third_wait.recv();
        3
    });
    drop(gate);
    assert_eq!((first.wait(), follower.wait()), ((1, true), (1, true)));
    let fourth = flights.start("key", || unreachable!());
    drop(third_gate);
    assert_eq!((third.wait(), fourth.wait()), ((3, true), (3, true)));
}

#[test]
fn started_it_is_awaited_or_left() {
    let flights = SingleFlight::new();
    let flight = flights.start(1, || 1);
    assert_eq!(block_on(flight.wait_async()), (1, false));
    assert_eq!(flight.wait(), (1, false), "it can be asked again");
    drop(flights.start(2, || 2));
    assert!([2, 3].contains(&flights.call(2, || 3).0));
}

#[test]
fn a_panic_of_the_leader_comes_to_all() {
    let flights = SingleFlight::<i32, ()>::new();
    let payload = panic_of(|| flights.call(1, || panic!("the leader's own")));
    assert_eq!(payload.downcast_ref(), Some(&"the leader's own"));
    let (gate, wait) = bounded::<()>(0);
    let leader = flights.start(2, move || {
        let _ = wait.recv();
        panic!("number {}", 2)
    });
    let follower = {
        let flights = flights.clone();
        let boarded = flights.start(2, || unreachable!());
        go(move || (boarded, flights).0.wait())
    };
    drop(gate);
    for payload in [
        panic_of(|| leader.wait()),
        follower.join().unwrap_err().into_panic(),
        panic_of(|| block_on(leader.wait_async())),
    ] {
        let said = payload.downcast_ref::<String>().unwrap();
        assert!(said.ends_with("panicked: number 2"), "{said}");
    }
    // And the key is free again.
    flights.call(2, || ());
}

#[test]
fn a_pool_does_all_jobs_with_so_many_at_once() {
    run(|| {
        let pool = Pool::new(3, 4);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..100)
            .map(|i| {
                let (now, most) = (now.clone(), most.clone());
                pool.submit(move || {
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    yield_now();
                    now.fetch_sub(1, SeqCst);
                    assert!(i != 50, "one of them panics");
                    i
                })
            })
            .collect();
        let done: Vec<_> = jobs.into_iter().map(|job| job.join()).collect();
        assert_eq!(done.iter().filter(|result| result.is_err()).count(), 1);
        assert_eq!(done.into_iter().flatten().sum::<i32>(), 4950 - 50);
        assert!(most.load(SeqCst) <= 3);
        pool.shutdown();
    });
}

#[test]
fn a_full_pool_says_so_and_shutdown_waits_for_all() {
    let pool = Pool::new(1, 1);
    let (gate, wait) = bounded::<()>(0);
    let (started, has_started) = bounded(0);
    let first = pool.submit(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    has_started.recv().unwrap();
    let mut second = pool.submit(|| 2);
    assert!(pool.try_submit(|| 3).is_err());
    assert_eq!((pool.queued(), pool.workers()), (1, 1));
    assert!(second.try_join().is_none() && second.join_timeout(SHORT).is_err() && !second.is_finished());
    let dropped = Arc::new(AtomicUsize::new(0));
    let opener = thread::spawn(move || {
        thread::sleep(SHORT);
        drop(gate);
    });
    let count = dropped.clone();
    drop(pool.submit(move || count.fetch_add(1, SeqCst)));
    pool.shutdown();
    assert_eq!(dropped.load(SeqCst), 1, "a job is done, whether or not somebody waits");
    assert_eq!(block_on(second).unwrap(), 2);
    first.join().unwrap();
    opener.join().unwrap();
    // Dropped, it lets what is queued be done.
    let pool = Pool::new(2, 8);
    let jobs: Vec<_> = (0..8).map(|i| pool.submit(move || i)).collect();
    drop(pool);
    assert_eq!(jobs.into_iter().map(|job| job.join().unwrap()).sum::<i32>(), 28);
}

/// From a green thread, from an OS thread, and on one worker.
fn everywhere(test: fn()) {
    test();
    run(test);
    Runtime::builder().workers(1).build().unwrap().run(test);
}

#[test]
fn parallel_loops_borrow_and_touch_each_item_once() {
    everywhere(|| {
        for length in [0, 1, 2, 7, 100, 5000] {
            let mut items = vec![1; length];
            let sum = AtomicUsize::new(0);
            parallel_for(&mut items, |item| {
                *item += 1;
                sum.fetch_add(*item, Relaxed);
            });
            assert!(items.iter().all(|item| *item == 2));
            assert_eq!(sum.load(Relaxed), 2 * length);
            let doubled = parallel_map(&items, |item| item * 2);
            assert_eq!(doubled, vec![4; length]);
        }
        let squares = Parallel::new().tasks(7).chunk(3).map(0..1000_u64, |i| i * i);
        assert!((0..1000).zip(&squares).all(|(i, square)| i * i == *square));
    });
}

#[test]
fn parallel_calls_that_wait_for_each_other_get_as_many_tasks_as_asked_for() {
    everywhere(|| {
        let meet = greenlight::WaitGroup::new();
        meet.add(5);
        Parallel::new().tasks(5).chunk(1).for_each(0..5, |_| {
            meet.done();
            meet.wait();
        });
    });
}

#[test]
fn parallel_loops_take_iterators_that_wait_and_have_no_known_length() {
    everywhere(|| {
        let (tx, rx) = bounded(2);
        let sender = go(move || (0..500).for_each(|i| tx.send(i).unwrap()));
        let all = Parallel::new().chunk(8).map(rx.iter(), |i| {
            yield_now();
            i
        });
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 500);
        sender.join().unwrap();
    });
}

#[test]
fn parallel_loops_nest() {
    everywhere(|| {
        let rows = parallel_map(0..20, |i| parallel_map(0..20, |j| i * j).into_iter().sum::<i32>());
        assert_eq!(rows.into_iter().sum::<i32>(), 190 * 190);
    });
}

#[test]
fn a_panic_in_a_parallel_loop_comes_when_all_have_ended_and_nothing_leaks() {
    everywhere(|| {
        for at in [0, 13, 99] {
            let items: Vec<_> = (0..100).map(|i| (i, Arc::new(()))).collect();
            let counters: Vec<_> = items.iter().map(|(_, count)| count.clone()).collect();
            let (entered, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let payload = panic_of(|| {
                Parallel::new().tasks(4).chunk(2).map(items, |(i, kept)| {
                    entered.fetch_add(1, SeqCst);
                    yield_now();
                    assert!(i != at, "at {at}");
                    left.fetch_add(1, SeqCst);
                    kept
                })
            });
            assert_eq!(payload.downcast_ref::<String>().unwrap(), &format!("at {at}"));
            assert_eq!(entered.load(SeqCst), left.load(SeqCst) + 1);
            assert!(counters.iter().all(|count| Arc::strong_count(count) == 1));
        }
    });
}

/// The helper is bound to the worker of the caller, who is cancelled while he waits for it.
#[test]
fn a_cancelled_parallel_loop_lets_its_helpers_end() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let ((tx, rx), (begun, has_begun)) = (bounded::<()>(0), bounded::<()>(0));
        let items = AtomicUsize::new(0);
        let task = go(move || {
            Parallel::new().tasks(2).chunk(1).for_each(0..2, |_| match items.fetch_add(1, SeqCst) {
                0 => has_begun.recv().unwrap(), // the caller, who was here first
                _ => {
                    begun.send(()).unwrap();
                    rx.recv().unwrap();
                }
            });
        });
        (0..5).for_each(|_| yield_now());
        task.cancel();
        (0..5).for_each(|_| yield_now());
        assert!(!task.is_finished(), "it waits for its helper");
        tx.send(()).unwrap();
        assert!(task.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_panic_of_the_iterator_comes_too() {
    everywhere(|| {
        let items = (0..100).inspect(|i| assert!(*i < 50, "the iterator"));
        let payload = panic_of(|| parallel_for(items, |_| yield_now()));
        assert_eq!(payload.downcast_ref(), Some(&"the iterator"));
    });
}

/// A loop in a drop during a panic: the caller does it alone, and nobody hangs.
#[test]
fn a_parallel_loop_during_a_panic() {
    struct Loops<'a>(&'a AtomicUsize);
    impl Drop for Loops<'_> {
        fn drop(&mut self) {
            parallel_for(0..100, |i| _ = self.0.fetch_add(i, SeqCst));
        }
    }
    everywhere(|| {
        let sum = AtomicUsize::new(0);
        panic_of(|| {
            let _loops = Loops(&sum);
            panic!("on the way");
        });
        assert_eq!(sum.load(SeqCst), 4950);
    });
}

#[test]
fn wait_groups_and_groups_go_together() {
    run(|| {
        let wg = WaitGroup::new();
        let flights = SingleFlight::new();
        for i in 0..50 {
            let flights = flights.clone();
            wg.go(move || {
                let group = Group::collect_all(&Context::background());
                group.set_limit(2);
                for j in 0..5 {
                    let flights = flights.clone();
                    group.go(move || flights.call(j, move || j * 10).0);
                }
                assert_eq!(group.wait(), [0, 10, 20, 30, 40], "group {i}");
            });
        }
        wg.wait();
    });
}

#[test]
fn a_result_that_panics_when_dropped_is_a_panic_of_the_group() {
    #[derive(Debug)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    let group = Group::first_success(&background());
    for _ in 0..2 {
        // The second success is not wanted.
        group.go(|| if true { Ok(Bomb) } else { Err(()) });
        while group.running() > 0 {
            yield_now();
        }
    }
    let payload = panic_of(|| std::mem::forget(group.wait()));
    assert_eq!(payload.downcast_ref(), Some(&"in a drop"));
}

/// A future that starts a task or submits a job waits for its place; dropped before, it has taken none.
#[test]
fn futures_wait_for_a_place_and_leave_without_a_trace() {
    let group = Group::collect_all(&background());
    group.set_limit(1);
    let pool = Pool::new(1, 1);
    let (gate, wait) = bounded::<()>(0);
    let waits = wait.clone();
    block_on(group.go_async(move || waits.recv().map_or(1, |()| 0)));
    let (started, has_started) = bounded(0);
    let first = block_on(pool.submit_async(move || {
        started.send(()).unwrap();
        wait.recv().map_or(1, |()| 0)
    }));
    has_started.recv().unwrap();
    let second = block_on(pool.submit_async(|| 2));
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    {
        let mut starting = std::pin::pin!(group.go_async(|| unreachable!()));
        let mut submitting = std::pin::pin!(pool.submit_async(|| unreachable!()));
        assert!(starting.as_mut().poll(cx).is_pending() && submitting.as_mut().poll(cx).is_pending());
    }
    let mut third = std::pin::pin!(group.go_async(|| 3));
    assert!(third.as_mut().poll(cx).is_pending());
    drop(gate);
    block_on(third.as_mut());
    assert!(catch_unwind(AssertUnwindSafe(|| third.as_mut().poll(cx))).is_err(), "it was ready before");
    assert_eq!(group.wait(), [1, 3]);
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (1, 2));
    assert_eq!(block_on(pool.submit_async(|| 4)).join().unwrap(), 4);
    pool.shutdown();
}
