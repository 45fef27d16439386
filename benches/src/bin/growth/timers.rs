//! How many timers are set.

use crate::{
    group::{DECADES, Group, flat},
    point::{Point, timed},
};
use greenlight::{
    WaitGroup,
    channel::bounded,
    go, go_async, go_near, sleep,
    time::{AfterFunc, Instant, after_func, sleep_async, sleep_until_async},
};
use std::{
    future::Future,
    iter,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

const CALL: &str = "call, set and stopped";
const RESET: &str = "call, set to another time";
const SLEEP: &str = "sleep of a future, set and dropped";
const LIMIT: &str = "limit of a call, not reached";
const FIRE: &str = "sleep of a future, to its end";

pub(crate) const GROUP: Group = Group {
    name: "timers",
    of: "timers",
    how: "On one worker, CPU time. The timers that are set are due in an hour, at random; what is measured beside them, within ten seconds.",
    sizes: DECADES,
    // Those who sleep are green threads.
    memory: 4_700,
    lines: &[
        flat(CALL, "`after_func` and `stop`, beside so many others"),
        flat(RESET, "`AfterFunc::reset`, beside so many others"),
        flat(SLEEP, "`sleep_async`, asked once and dropped, beside so many others"),
        flat(LIMIT, "a `recv_timeout` that sleeps and gets its message in time, while so many green threads sleep"),
        flat(FIRE, "a future from its start to the end of its sleep, where so many sleep at once"),
    ],
    run: |point| point.on_one_worker(measure),
};

/// What is measured beside the timers that are set.
const TURNS: usize = 1_000;

fn measure(point: Point) {
    let size = point.size;
    if size >= TURNS {
        point.repeat(FIRE, size, || timed(|| let_sleep(size)));
    }
    let calls: Vec<AfterFunc> = times(HOUR).take(size).map(|time| after_func(time, || ())).collect();
    let mut limits = times(TEN_SECONDS);
    point.repeat(CALL, TURNS, || {
        timed(|| limits.by_ref().take(TURNS).for_each(|time| assert!(after_func(time, || ()).stop())))
    });
    let call = after_func(HOUR, || ());
    point.repeat(RESET, TURNS, || timed(|| limits.by_ref().take(TURNS).for_each(|time| assert!(call.reset(time)))));
    point.repeat(SLEEP, TURNS, || timed(|| limits.by_ref().take(TURNS).for_each(ask_once)));
    drop(calls);

    let (there, here) = bounded::<u32>(0);
    let (go_on, next) = bounded::<()>(1);
    let sleepers = WaitGroup::new();
    sleepers.add(size);
    for time in times(HOUR).take(size) {
        let sleepers = sleepers.clone();
        go(move || {
            sleepers.done();
            // The process ends before.
            sleep(HOUR + time);
        });
    }
    sleepers.wait();
    go_near(move || next.iter().for_each(|()| there.send(1).expect("somebody waits")));
    point.repeat(LIMIT, TURNS, || {
        timed(|| {
            for time in limits.by_ref().take(TURNS) {
                go_on.send(()).expect("it listens");
                assert_eq!(here.recv_timeout(time), Ok(1));
            }
        })
    });
}

const HOUR: Duration = Duration::from_secs(3_600);
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// At random, half of it at least: no timer goes off meanwhile.
fn times(most: Duration) -> impl Iterator<Item = Duration> {
    let numbers = iter::successors(Some(1_u64), |number| Some(number.wrapping_mul(6_364_136_223_846_793_005)));
    numbers.map(move |number| most / 2 + most.mul_f64((number >> 32) as f64 / f64::from(u32::MAX) / 2.0))
}

/// So many futures, all of which sleep at the same time.
fn let_sleep(size: usize) {
    let group = WaitGroup::new();
    // What setting up takes at most, even where others keep the machine busy; then a hundred an instant.
    let start = Instant::now() + (Duration::from_millis(10) + Duration::from_micros(2) * size as u32);
    group.add(size);
    for index in 0..size {
        let (group, when) = (group.clone(), start + Duration::from_nanos(100) * index as u32);
        go_async(async move {
            sleep_until_async(when).await;
            group.done();
        });
    }
    group.wait();
}

/// Sets its alarm, and takes it back.
fn ask_once(time: Duration) {
    assert!(pin!(sleep_async(time)).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}
