//! Programs in which nobody can ever wake anybody.

mod programs;

use self::programs::*;
use crate::Found;
use greenlight::{
    Condvar, Lazy, Mutex, Notify, Once, OnceCell, Runtime, RwLock, Semaphore, WaitGroup, WaitTokens, Watch, block_on,
    blocking,
    channel::{Select, bounded, bounded_strict, broadcast, never, oneshot, unbounded, watch},
    context::Context,
    go_async, go_near,
    group::Parallel,
    select,
    signal::{self, Signal},
    sleep,
    task::shield,
    time::{Ticker, Timer, after_func, sleep_async},
};
use greenlight_tests::nowhere;
use std::{future::pending, mem::forget, thread, time::Duration};

const RECEIVE: &str = "receive from a channel 0x";
const SEND: &str = "send on a channel 0x";
const LOCK: &str = "lock a mutex 0x";
const READ: &str = "read-lock an rwlock 0x";
const WRITE: &str = "write-lock an rwlock 0x";
const JOIN: &str = "join a green thread at";

pub const FOUND: &[Found] = &[
    // Channels.
    ("nobody_sends_at_a_rendezvous", || _ = never::<u32>().recv(), &[RECEIVE]),
    ("nobody_receives_at_a_rendezvous", || _ = nowhere().send(1), &[SEND]),
    (
        "a_signal_to_which_nobody_listens_any_more",
        || {
            drop(signal::notify(&[Signal::USER_1], 1).unwrap());
            _ = never::<u32>().recv()
        },
        &[RECEIVE],
    ),
    (
        "an_empty_bounded_channel",
        || {
            let (_tx, rx) = bounded::<u32>(3);
            _ = rx.recv()
        },
        &[RECEIVE],
    ),
    (
        "a_full_bounded_channel",
        || {
            let (tx, _rx) = bounded(1);
            (0..2).for_each(|i| tx.send(i).unwrap())
        },
        &[SEND],
    ),
    (
        "an_empty_unbounded_channel",
        || {
            let (_tx, rx) = unbounded::<u32>();
            _ = rx.recv()
        },
        &[RECEIVE],
    ),
    (
        "an_empty_strict_channel",
        || {
            let (_tx, rx) = bounded_strict::<u32>(3);
            _ = rx.recv()
        },
        &[RECEIVE],
    ),
    (
        "a_full_strict_channel",
        || {
            let (tx, _rx) = bounded_strict(1);
            (0..2).for_each(|i| tx.send(i).unwrap())
        },
        &[SEND],
    ),
    ("an_empty_static_channel", || _ = FIXED.receiver().recv(), &[RECEIVE]),
    ("a_full_static_channel", || (0..2).for_each(|i| FIXED.sender().send(i).unwrap()), &[SEND]),
    (
        "a_oneshot_that_was_forgotten",
        || {
            let (tx, rx) = oneshot::channel::<u32>();
            forget(tx);
            _ = rx.recv()
        },
        &["receive from a oneshot channel 0x"],
    ),
    (
        "oneshots_crosswise",
        oneshots_crosswise,
        &["receive from a oneshot channel 0x", "receive from a oneshot channel 0x"],
    ),
    (
        "a_watched_value_that_stays",
        || {
            let (_tx, mut rx) = watch::channel(0);
            _ = rx.changed()
        },
        &["wait for a change of a watched value 0x"],
    ),
    (
        "a_watch_that_nobody_changes",
        || Watch::new(0).subscribe().changed(),
        &["wait for a change of a watched value 0x"],
    ),
    (
        "no_news",
        || {
            let (_tx, mut rx) = broadcast::channel::<u32>(4);
            _ = rx.recv()
        },
        &["receive from a broadcast channel 0x"],
    ),
    (
        "iterating_over_ones_own_sender",
        || {
            let (tx, rx) = unbounded();
            tx.send(1).unwrap();
            assert!(rx.iter().count() > 1)
        },
        &[RECEIVE],
    ),
    ("a_clone_too_many", a_clone_too_many, &[RECEIVE, RECEIVE]),
    ("both_send_first", both_send_first, &[SEND, SEND]),
    ("both_receive_first", both_receive_first, &[RECEIVE, RECEIVE]),
    ("a_ring_of_ten", a_ring_of_ten, &[RECEIVE; 11]),
    ("a_thousand_receivers", a_thousand_receivers, &["wait for a wait group 0x", RECEIVE, RECEIVE]),
    // Selects.
    ("select_without_arms", || select! {}, &["select"]),
    (
        "select_of_receivers",
        || select! { recv(never::<u32>()) -> _ => {}, recv(never::<u32>()) -> _ => {} },
        &["select"],
    ),
    ("select_of_both", || select! { recv(never::<u32>()) -> _ => {}, send(nowhere(), 1) -> _ => {} }, &["select"]),
    (
        "select_of_a_future",
        || select! { recv(never::<u32>()) -> _ => {}, wait(pending::<()>()) -> () => {} },
        &["select"],
    ),
    (
        "a_list_of_operations",
        || {
            let rx = never::<u32>();
            let mut list = Select::new();
            list.recv(&rx);
            unreachable!("{:?}", list.select().index());
        },
        &["select"],
    ),
    (
        "a_list_to_be_ready",
        || {
            let rx = never::<u32>();
            let mut list = Select::new();
            list.recv(&rx);
            list.ready();
        },
        &["select"],
    ),
    // Locks.
    ("locks_in_opposite_order", locks_in_opposite_order, &[LOCK, LOCK]),
    ("philosophers", philosophers, &[LOCK, LOCK, LOCK]),
    (
        "locked_twice",
        || {
            let lock = Mutex::new(());
            let _first = lock.lock();
            let _second = lock.lock();
        },
        &[LOCK],
    ),
    (
        "a_guard_that_was_forgotten",
        || {
            let lock = Mutex::new(());
            forget(lock.lock());
            let _second = lock.lock();
        },
        &[LOCK],
    ),
    ("a_lock_held_while_receiving", a_lock_held_while_receiving, &[RECEIVE, LOCK]),
    (
        "a_reader_who_writes",
        || {
            let lock = RwLock::new(());
            let _first = lock.read();
            let _second = lock.write();
        },
        &[WRITE],
    ),
    ("two_readers_who_write", two_readers_who_write, &[WRITE, WRITE]),
    (
        "a_writer_who_reads",
        || {
            let lock = RwLock::new(());
            let _first = lock.write();
            let _second = lock.read();
        },
        &[READ],
    ),
    (
        "a_reader_behind_a_writer",
        a_reader_behind_a_writer,
        &["read-lock an rwlock that is read, behind a writer that waits 0x", WRITE, JOIN],
    ),
    // What is counted.
    ("a_permit_that_was_forgotten", a_permit_that_was_forgotten, &["acquire a semaphore 0x"]),
    (
        "more_permits_than_there_are",
        || {
            let permits = Semaphore::new(2);
            let _ = permits.acquire(3);
        },
        &["acquire a semaphore 0x"],
    ),
    ("permits_half_each", permits_half_each, &["acquire a semaphore 0x", "acquire a semaphore 0x"]),
    (
        "a_wait_group_short_by_one",
        || {
            let group = WaitGroup::new();
            group.add(2);
            group.done();
            group.wait()
        },
        &["wait for a wait group 0x"],
    ),
    (
        "a_member_waits_for_its_group",
        a_member_waits_for_its_group,
        &["wait for a wait group 0x", "wait for a wait group 0x"],
    ),
    (
        "a_token_that_the_waiter_keeps",
        || {
            let tokens = WaitTokens::new();
            let _token = tokens.token();
            tokens.wait()
        },
        &["wait for a wait group 0x"],
    ),
    ("a_barrier_short_by_one", a_barrier_short_by_one, &["wait at a barrier 0x", "wait at a barrier 0x"]),
    ("never_notified", || Notify::new().wait(), &["wait to be notified 0x"]),
    (
        "a_condition_that_nobody_tells",
        || {
            let lock = Mutex::new(());
            drop(Condvar::new().wait(lock.lock()))
        },
        &["wait for a condition variable 0x"],
    ),
    ("a_condition_told_too_early", a_condition_told_too_early, &["wait for a condition variable 0x"]),
    // What is done once.
    (
        "once_inside_itself",
        || {
            let once = Once::new();
            once.call_once(|| once.call_once(|| ()))
        },
        &["wait for an initialiser that another task runs 0x"],
    ),
    (
        "a_cell_inside_itself",
        || {
            let cell = OnceCell::new();
            cell.get_or_init(|| *cell.get_or_init(|| 1));
        },
        &["wait for an initialiser that another task runs 0x"],
    ),
    ("a_lazy_inside_itself", || _ = Lazy::force(&RECURSIVE), &["wait for an initialiser that another task runs 0x"]),
    ("once_and_never", || Once::new().wait(), &["wait for a once 0x"]),
    (
        "two_initialisers_crosswise",
        two_initialisers_crosswise,
        &["wait for an initialiser that another task runs 0x"; 2],
    ),
    // Tasks.
    ("joins_in_a_circle", joins_in_a_circle, &[JOIN, JOIN, RECEIVE]),
    ("joins_itself", joins_itself, &[JOIN, JOIN]),
    ("a_child_of_a_scope", a_child_of_a_scope, &["wait for the green threads of a scope at", RECEIVE]),
    ("children_with_locks", children_with_locks, &["wait for the green threads of a scope at", LOCK, LOCK]),
    ("a_shield_around_it", || shield(|| _ = never::<u32>().recv()), &[RECEIVE]),
    ("a_near_task", || _ = go_near(|| never::<u32>().recv()).join(), &[JOIN, RECEIVE]),
    ("a_destructor_of_a_local", a_destructor_of_a_local, &[JOIN, RECEIVE]),
    // Groups.
    (
        "a_member_waits_for_its_own_group",
        a_member_waits_for_its_own_group,
        &["wait for a group 0x", "wait for a group 0x"],
    ),
    ("a_place_in_a_full_group", a_place_in_a_full_group, &["wait for a group 0x", "start a task of a group 0x"]),
    ("a_job_waits_for_its_own_pool", a_job_waits_for_its_own_pool, &["receive from a oneshot channel 0x"; 2]),
    (
        "a_call_that_asks_for_itself",
        || {
            FLIGHTS.call(1, || FLIGHTS.call(1, || 2).0);
        },
        &["wait for another one's call 0x"],
    ),
    ("a_parallel_loop", || Parallel::new().tasks(2).for_each(0..2, |_| _ = never::<u32>().recv()), &[RECEIVE, RECEIVE]),
    (
        "a_context_that_nobody_ends",
        || {
            let (ctx, _cancel) = Context::background().with_cancel();
            ctx.wait();
        },
        &["wait for the end of a context 0x"],
    ),
    // Futures.
    (
        "a_future_that_receives",
        || _ = go_async(async { never::<u32>().recv_async().await }).join(),
        &["join a future at", "be woken"],
    ),
    ("futures_crosswise", futures_crosswise, &["join a future at", "be woken", "be woken"]),
    ("a_future_that_locks_twice", a_future_that_locks_twice, &["join a future at", "be woken"]),
    ("green_and_stackless_crosswise", green_and_stackless_crosswise, &[RECEIVE, "be woken"]),
    (
        "a_future_in_a_blocking_call",
        || _ = go_async(async { never::<u32>().recv() }).join(),
        &["join a future at", RECEIVE],
    ),
    ("await_what_never_comes", || block_on(pending()), &["await a future at"]),
    ("await_a_channel", || _ = block_on(never::<u32>().recv_async()), &["await a future at"]),
    (
        "await_inside_a_future",
        || _ = go_async(async { block_on(pending::<()>()) }).join(),
        &["join a future at", "await a future at"],
    ),
    (
        "a_limit_that_was_dropped",
        || {
            drop(sleep_async(Duration::from_secs(3600)));
            _ = never::<u32>().recv()
        },
        &[RECEIVE],
    ),
    // The clock, after it has been used.
    (
        "a_timer_that_was_stopped",
        || {
            let timer = Timer::new(Duration::from_secs(3600));
            timer.stop();
            timer.wait();
        },
        &["wait for a timer 0x"],
    ),
    (
        "a_ticker_that_was_stopped",
        || {
            let ticker = Ticker::new(Duration::from_millis(1));
            ticker.wait();
            ticker.stop();
            ticker.wait();
        },
        &["wait for a ticker 0x"],
    ),
    (
        "a_call_that_was_taken_back",
        || {
            after_func(Duration::from_secs(3600), || ()).stop();
            _ = never::<u32>().recv()
        },
        &[RECEIVE],
    ),
    (
        "after_a_sleep",
        || {
            sleep(Duration::from_millis(30));
            _ = never::<u32>().recv()
        },
        &[RECEIVE],
    ),
    // Threads.
    (
        "after_a_blocking_call",
        || {
            blocking(|| ()).join().unwrap();
            _ = never::<u32>().recv()
        },
        &[RECEIVE],
    ),
    ("a_blocking_call_that_waits_for_us", a_blocking_call_that_waits_for_us, &["receive from a oneshot channel 0x"]),
    ("an_os_thread_that_waits_for_us", an_os_thread_that_waits_for_us, &[RECEIVE]),
    ("an_os_thread_that_wants_our_lock", an_os_thread_that_wants_our_lock, &[RECEIVE]),
    (
        "an_os_thread_that_has_ended",
        || {
            thread::spawn(|| ()).join().unwrap();
            _ = never::<u32>().recv()
        },
        &[RECEIVE],
    ),
    // Runtimes.
    ("two_runtimes_crosswise", two_runtimes_crosswise, &[RECEIVE, RECEIVE]),
    (
        "a_runtime_inside_another",
        || Runtime::builder().workers(1).build().unwrap().run(|| _ = never::<u32>().recv()),
        &[JOIN, RECEIVE],
    ),
    ("the_global_runtime_beside", the_global_runtime_beside, &[RECEIVE, RECEIVE]),
    ("a_runtime_that_was_dropped", a_runtime_that_was_dropped, &[RECEIVE]),
    ("names", names, &[JOIN, RECEIVE]),
];
