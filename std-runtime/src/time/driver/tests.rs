//! The thread's protocol, step by step on virtual time: alarms are set and taken out between any two steps of the thread.

use super::{Driver, Nap, Pace, Round};
use crate::{deadlock::Helpers, time::tests::Dice};
use greenlight_core::park::Tick;

/// Where the thread is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Thread {
    Awake,
    SleepsUntil(Tick),
    Sleeps,
}

/// Where so many alarms or more go off between two sleeps, the next sleep is so long at least.
const MANY: usize = 2;
const PAUSE: Tick = 5;

/// One step of `main`, as the operating system lets it happen: a parked thread goes on if it has a token, or its time is up.
fn step(driver: &mut Driver<u32>, thread: &mut Thread, token: &mut bool, now: Tick, nap_ends: bool) -> Vec<u32> {
    let mut due = Vec::new();
    match *thread {
        Thread::Awake => match driver.round(now, &mut due) {
            Round::Act(tick) => assert!(driver.alarms.first().is_none_or(|first| first > tick) && tick <= now),
            Round::SleepUntil(tick) => *thread = Thread::SleepsUntil(tick),
            Round::Sleep => *thread = Thread::Sleeps,
        },
        Thread::SleepsUntil(tick) if *token || now >= tick => {
            *token = false;
            *thread = Thread::Awake;
        }
        Thread::Sleeps if *token || nap_ends => {
            *token = false;
            if !driver.is_idle() {
                *thread = Thread::Awake;
            }
        }
        _ => {}
    }
    due
}

/// No alarm is slept through, and the thread counts as asleep when it sleeps with nothing to do, never otherwise. Fails if
/// `is_idle` asks for `counted`, if `set` does not move `nap`, if `round` leaves `nap` as it was.
#[test]
fn no_alarm_is_slept_through() {
    for seed in 1..=3000 {
        let mut dice = Dice::new(seed);
        let helpers: &'static Helpers = Box::leak(Box::new(Helpers::new()));
        let mut driver = Driver::new(helpers, Pace::new(MANY, PAUSE));
        let (mut thread, mut token, mut now) = (Thread::Awake, false, 1);
        let mut set = Vec::new();
        let mut went_off = Vec::new();
        // How many went off since the last sleep, and until when a sleep may last whatever comes first.
        let (mut fired, mut pause) = (0, 0);
        for name in 0..60 {
            match dice.roll(6) {
                0 | 1 => {
                    let tick = now + dice.roll(12);
                    let (key, unpark) = driver.set(tick, name);
                    token |= unpark;
                    set.push((key, name));
                }
                2 if !set.is_empty() => {
                    let (key, name) = set.swap_remove(dice.roll(set.len() as u64) as usize);
                    assert_eq!(driver.take_out(key).is_none(), went_off.contains(&name));
                }
                3 => now += dice.roll(5),
                // In half of the programs nobody naps: only what wakes the thread wakes it.
                _ => {
                    let was_awake = thread == Thread::Awake;
                    let due = step(&mut driver, &mut thread, &mut token, now, seed % 2 == 0);
                    fired += due.len();
                    went_off.extend(due);
                    if was_awake && thread != Thread::Awake {
                        pause = if fired >= MANY { now + PAUSE } else { 0 };
                        fired = 0;
                    }
                }
            }
            // A2. One that was woken for nothing, and does not know yet, counts too.
            assert_eq!(helpers.asleep(), usize::from(driver.counted));
            assert_eq!(driver.counted, driver.nap != Nap::Awake && driver.alarms.is_empty());
            assert!(thread == Thread::Awake || driver.nap != Nap::Awake);
            // A1: a thread that stays asleep does so until the first alarm at most.
            let wakes_at = match thread {
                Thread::SleepsUntil(tick) if !token => tick,
                Thread::Sleeps if !token => Tick::MAX,
                _ => 0,
            };
            assert!(driver.alarms.first().is_none_or(|first| wakes_at <= first.max(pause)), "{thread:?}, seed {seed}");
        }
        // Whatever is left goes off once its time has come.
        now += 20;
        for _ in 0..200 {
            went_off.extend(step(&mut driver, &mut thread, &mut token, now, false));
        }
        assert!(driver.alarms.is_empty() && set.iter().all(|(_, name)| went_off.contains(name)));
    }
}
