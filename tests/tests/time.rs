//! Sleeping, limits, timers, tickers, delayed calls: the cases of Go's `time/sleep_test.go` and `tick_test.go`, written anew
//! without their limits from above, which a busy machine breaks; and what is ours.
//!
//! | Go's cases                                             | here                                                     |
//! |--------------------------------------------------------|----------------------------------------------------------|
//! | Sleep, AfterQueuing, After                             | `sleepers_wake_after_their_time`                         |
//! | AfterFunc, AfterStop, AfterFuncStarvation              | `after_func…`                                            |
//! | TimerStopStress, AfterStress                           | `timers_by_the_thousand…`                                |
//! | Reset, ResetResult, StopResult                         | `stop_and_reset_tell…`                                   |
//! | TimerGC, StaleSend of 1.23                             | `no_stale_value…`                                        |
//! | OverflowSleep, OverflowPeriodRuntimeTimer, Issue5745   | `any_duration`                                           |
//! | ZeroTimer, SleepZeroDeadlock                           | `any_duration`                                           |
//! | ParallelTimers, LotsOfTimers, TimerModifiedEarlier     | `a_timer_set_to_an_earlier_time…`, `timers_by_the_thousand` |
//! | Ticker, TickerStopWithDirectInitialization, NewTickerLtZeroDuration, TickerResetLtZeroDuration | `ticker…`        |
//! | Tick, TickLtZeroDuration, Teardown                     | the core's `tick`; `tickers_come_and_go`                 |

use futures_executor::block_on;
use greenlight::{
    Runtime, WaitGroup,
    channel::{bounded, never, unbounded},
    go, run, select, sleep,
    time::{
        Instant, MissedTicks, Ticker, TimedOut, Timer, after_func, sleep_async, sleep_until, sleep_until_async,
        timeout, timeout_at,
    },
};
use std::{
    future::{pending, ready},
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn sleepers_wake_after_their_time() {
    let start = Instant::now();
    let sleepers: Vec<_> = [5, 3, 6, 1, 4, 2, 0]
        .map(|i| {
            go(move || {
                sleep_until(start + i * SHORT);
                assert!(start.elapsed() >= i * SHORT, "never early");
            })
        })
        .into();
    let thread = thread::spawn(move || sleep_until(start + 4 * SHORT));
    sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    thread.join().unwrap();
    assert!(start.elapsed() >= 6 * SHORT);
}

#[test]
fn futures_sleep_beside_each_other_on_any_executor() {
    let start = Instant::now();
    block_on(async {
        sleep_async(SHORT).await;
        sleep_until_async(start + 2 * SHORT).await;
    });
    assert!(start.elapsed() >= 2 * SHORT);
    // Ready at once, though nobody polled it in time; and dropped without a trace.
    let mut late = sleep_async(Duration::ZERO);
    assert!(late.is_elapsed());
    block_on(&mut late);
    block_on(&mut late);
    drop(sleep_async(LONG));
}

#[test]
fn any_duration() {
    sleep(Duration::ZERO);
    sleep_until(Instant::now());
    let timer = Timer::new(Duration::MAX);
    assert_eq!(timer.deadline(), Some(Instant::NEVER));
    assert!(timer.try_wait().is_none() && timer.wait_timeout(SHORT).is_err());
    assert!(timer.reset(Duration::ZERO), "it was set, though to never");
    timer.wait();
    let ticker = Ticker::new(Duration::MAX);
    assert_eq!(ticker.wait_timeout(SHORT), Err(TimedOut));
    let call = after_func(Duration::MAX, || unreachable!());
    assert!(call.stop() && !call.stop());
    assert_eq!(block_on(timeout(Duration::MAX, ready(7))), Ok(7));
    select! {
        wait(sleep_async(Duration::MAX)) -> () => unreachable!(),
        default(SHORT) => {}
    }
    assert_eq!(Instant::now() + Duration::MAX + SHORT, Instant::NEVER);
    assert_eq!(Instant::now() - Instant::NEVER, Duration::ZERO);
    // Not for ever, but beyond any test: most of what the clock can reach.
    let far = Duration::from_nanos(u64::MAX - (1 << 62));
    let timer = Timer::new(far);
    assert!(timer.wait_timeout(SHORT).is_err() && timer.stop());
}

#[test]
fn a_limit_ends_a_future_or_lets_it_through() {
    assert_eq!(block_on(timeout(LONG, ready(1))), Ok(1));
    assert_eq!(block_on(timeout(Duration::ZERO, ready(2))), Ok(2), "who is ready is taken");
    assert_eq!(block_on(timeout(SHORT, pending::<()>())), Err(TimedOut));
    assert_eq!(block_on(timeout_at(Instant::now() + SHORT, sleep_async(LONG))), Err(TimedOut));
    assert_eq!(block_on(timeout(LONG, sleep_async(SHORT))), Ok(()));
    // What was limited is dropped: its value is not taken along.
    let (tx, rx) = bounded(1);
    assert!(block_on(timeout(SHORT, rx.recv_async())).is_err());
    tx.send(3).unwrap();
    assert_eq!(rx.try_recv(), Ok(3));
}

#[test]
fn stop_and_reset_tell_whether_somebody_was_told() {
    let timer = Timer::new(LONG);
    assert!(timer.stop());
    assert!(!timer.stop(), "stopped before");
    assert!(!timer.reset(SHORT), "it was stopped");
    timer.wait();
    assert!(!timer.stop() && timer.deadline().is_none(), "somebody was told");
    assert!(!timer.reset(SHORT));
    sleep(2 * SHORT);
    assert!(timer.reset(LONG), "its time came, but nobody was told");
    assert!(timer.reset(SHORT));
    sleep(2 * SHORT);
    assert!(timer.stop(), "as before");
    assert!(timer.try_wait().is_none());
}

#[test]
fn no_stale_value_comes_after_stop_or_reset() {
    let timer = Timer::new(Duration::ZERO);
    for _ in 0..1000 {
        timer.reset(Duration::ZERO);
        timer.reset(LONG);
        assert!(timer.try_wait().is_none());
        timer.reset(Duration::ZERO);
        timer.stop();
        assert!(timer.try_wait().is_none());
    }
    // Also for one who waits already: he gets the new time and no other.
    let timer = Arc::new(Timer::new(LONG));
    for wait_in in [false, true] {
        let waiter = {
            let timer = timer.clone();
            go(move || if wait_in { block_on(timer.wait_async()) } else { timer.wait() })
        };
        sleep(SHORT);
        timer.stop();
        sleep(SHORT);
        assert!(!waiter.is_finished());
        let when = Instant::now() + SHORT;
        timer.reset_at(when);
        assert_eq!(waiter.join().unwrap(), when);
        timer.reset(LONG);
    }
}

#[test]
fn a_timer_set_to_an_earlier_time_goes_off_then() {
    let timer = Arc::new(Timer::new(LONG));
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let timer = timer.clone();
            thread::spawn(move || timer.wait_timeout(LONG).unwrap())
        })
        .collect();
    let selecting = {
        let timer = timer.clone();
        go(move || {
            select! {
                recv(never::<i32>()) -> _ => unreachable!(),
                wait(timer.wait_async()) -> when => when,
            }
        })
    };
    // One ring for each: of several who wait, one is told.
    let mut rings: Vec<_> = (0..4)
        .map(|_| {
            sleep(SHORT);
            let when = Instant::now() + SHORT;
            timer.reset_at(when);
            sleep(2 * SHORT);
            while timer.deadline().is_some() {
                sleep(SHORT);
            }
            when
        })
        .collect();
    let mut told: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
    told.push(selecting.join().unwrap());
    told.sort();
    rings.sort();
    assert_eq!(told, rings);
}

#[test]
fn timers_by_the_thousand_and_each_is_told_once() {
    run(|| {
        let wg = WaitGroup::new();
        let (told, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for i in 0..1000 {
            let timer = Arc::new(Timer::new(Duration::from_micros(i * 7 % 5000)));
            let (told, stopped) = (told.clone(), stopped.clone());
            let waiter = timer.clone();
            wg.go(move || {
                let limit = Duration::from_millis(20);
                let heard = if i % 2 == 0 {
                    waiter.wait_timeout(limit).is_ok()
                } else {
                    block_on(timeout(limit, waiter.wait_async())).is_ok()
                };
                told.fetch_add(usize::from(heard), SeqCst);
            });
            if i % 3 == 0 {
                wg.go(move || {
                    sleep(Duration::from_micros(i * 5 % 5000));
                    stopped.fetch_add(usize::from(timer.stop()), SeqCst);
                });
            }
        }
        wg.wait();
        let (told, stopped) = (told.load(SeqCst), stopped.load(SeqCst));
        assert!(told + stopped <= 1000 && told >= 1000 - 334, "told {told}, stopped {stopped}");
    });
}

#[test]
fn ticker_keeps_its_pace() {
    let start = Instant::now();
    let ticker = Ticker::new(SHORT);
    let ticks: Vec<_> =
        (0..6).map(|i| if i % 2 == 0 { ticker.wait() } else { block_on(ticker.wait_async()) }).collect();
    for (i, tick) in (1..).zip(&ticks) {
        assert!(*tick >= start + i * SHORT, "never early");
        // Skipped or not, each is due at a multiple of the period.
        assert!((*tick - ticks[0]).as_nanos().is_multiple_of(SHORT.as_nanos()));
    }
    assert!(ticks.is_sorted());
    ticker.stop();
    assert!(ticker.wait_timeout(2 * SHORT).is_err() && ticker.try_wait().is_none());
    let reset = Instant::now();
    ticker.reset(2 * SHORT);
    assert!(ticker.wait() >= reset + 2 * SHORT);
    assert!(reset.elapsed() >= 2 * SHORT);
}

#[test]
fn ticker_bursts_if_it_is_told_to() {
    let start = Instant::now();
    let ticker = Ticker::with_policy(SHORT, MissedTicks::Burst);
    sleep(5 * SHORT + SHORT / 2);
    let ticks: Vec<_> = (0..5).map(|_| ticker.try_wait().expect("it is due")).collect();
    assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == SHORT));
    assert!(start.elapsed() >= 5 * SHORT);
}

#[test]
fn ticker_of_no_period_is_refused() {
    assert!(catch_unwind(|| Ticker::new(Duration::ZERO)).is_err());
    let ticker = Ticker::new(SHORT);
    assert!(catch_unwind(|| ticker.reset(Duration::ZERO)).is_err());
    ticker.wait();
}

#[test]
fn tickers_come_and_go() {
    run(|| {
        for _ in 0..100 {
            let ticker = Ticker::new(Duration::from_micros(100));
            ticker.wait();
            ticker.stop();
        }
    });
}

#[test]
fn after_func_calls_itself_again_and_again() {
    let (tx, rx) = bounded(1);
    fn again(left: usize, done: greenlight::channel::Sender<()>) {
        match left {
            0 => done.send(()).unwrap(),
            _ => after_func(Duration::ZERO, move || again(left - 1, done.clone())).detach(),
        }
    }
    again(100, tx);
    rx.recv().unwrap();
}

#[test]
fn after_func_stop_and_reset_are_exact() {
    for i in 0..300 {
        let calls = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = unbounded();
        let call = after_func(Duration::from_micros(i), {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, SeqCst);
                tx.send(()).unwrap();
            }
        });
        if i % 4 == 0 {
            thread::sleep(Duration::from_micros(i));
        }
        let mut expected = usize::from(!call.reset(Duration::from_micros(300 - i)));
        expected += usize::from(!call.stop());
        assert!(!call.stop());
        drop(call);
        // Every call that is to come has its sender: the channel is at its end when they are through.
        assert_eq!(rx.iter().count(), expected);
        assert_eq!(calls.load(SeqCst), expected);
    }
}

#[test]
fn after_func_dropped_is_not_called_and_detached_is() {
    let (tx, rx) = unbounded();
    let (one, two) = (tx.clone(), tx);
    drop(after_func(SHORT, move || one.send("dropped").unwrap()));
    after_func(SHORT, move || two.send("detached").unwrap()).detach();
    assert_eq!(rx.iter().collect::<Vec<_>>(), ["detached"]);
}

/// A busy worker holds up neither the calls nor the others' futures.
#[test]
fn a_busy_worker_does_not_stop_the_clock() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded::<()>(0);
    let busy = runtime.go(move || {
        // The OS thread itself is blocked, and all green threads of its worker with it.
        while rx.try_recv().is_err() {
            thread::yield_now();
        }
    });
    block_on(sleep_async(SHORT));
    tx.send(()).unwrap();
    busy.join().unwrap();
}

/// The timer thread, after a sleep so long that it looks around no more, is woken by alarms that are taken back before it runs;
/// the next alarm comes later than they would have.
#[test]
fn an_alarm_after_those_that_were_taken_back_goes_off() {
    for pause in [0, 50, 2700] {
        thread::sleep(Duration::from_millis(pause));
        (0..300).for_each(|_| drop(after_func(2 * SHORT, || unreachable!())));
        thread::sleep(SHORT / 2);
        block_on(sleep_async(5 * SHORT));
    }
}
