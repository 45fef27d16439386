//! What acts do with locks, permits, conditions, barriers, and what is made once.

use super::{Value, World, planned};
use crate::Dice;
use greenlight::{
    Barrier, Lazy, Once, block_on, scope, sleep,
    task::{check_cancelled, shield},
    time::timeout,
    yield_now,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

pub(super) fn locks(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        let pause = dice.one_in(4);
        let step = |[one, other]: &mut [u64; 2]| {
            *one += 1;
            // A task that is cancelled here would break the pair; what is not to be torn is shielded.
            if pause {
                shield(yield_now);
            }
            *other += 1;
        };
        match dice.roll(8) {
            0 => step(&mut world.lock.lock()),
            1 => drop(world.lock.try_lock().map(|mut guard| step(&mut guard))),
            2 => drop(world.lock.lock_timeout(dice.moment()).map(|mut guard| step(&mut guard))),
            3 => step(&mut block_on(world.lock.lock_async())),
            4 => step(&mut world.rw_lock.write()),
            5 => drop(world.rw_lock.write_timeout(dice.moment()).map(|mut guard| step(&mut guard))),
            6 => {
                let guard = world.rw_lock.read();
                yield_now();
                assert_eq!(guard[0], guard[1]);
            }
            _ => drop(world.rw_lock.read_timeout(dice.moment()).map(|guard| assert_eq!(guard[0], guard[1]))),
        }
    }
}

pub(super) fn permits(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        let count = 1 + dice.roll(3) as usize;
        match dice.roll(4) {
            0 => drop(world.permits.try_acquire(count)),
            1 => drop(world.permits.acquire_timeout(count, dice.moment()).inspect(|_| yield_now())),
            2 => drop(block_on(timeout(dice.moment(), world.permits.acquire_async(count)))),
            _ => {
                let _permit = world.permits.acquire(count).expect("nobody closes it");
                sleep(dice.moment() / 8);
            }
        }
    }
}

pub(super) fn condition(dice: &mut Dice, world: &Arc<World>) {
    let (number, changed) = &world.changed;
    for _ in 0..dice.roll(10) {
        if dice.one_in(2) {
            *number.lock() += 1;
            if dice.one_in(2) { changed.notify_one() } else { changed.notify_all() }
        } else {
            let guard = number.lock();
            drop(changed.wait_timeout(guard, dice.moment()));
        }
    }
}

pub(super) fn barrier(dice: &mut Dice, _: &Arc<World>) {
    let parties = 1 + dice.roll(5) as usize;
    let barrier = Barrier::new(parties);
    let give_up = dice.one_in(4);
    let rounds = dice.roll(4);
    scope(|s| {
        for _ in 0..parties {
            let limit = if give_up { dice.moment() } else { Duration::from_secs(30) };
            let barrier = &barrier;
            s.spawn(move || (0..rounds).all(|_| barrier.wait_timeout(limit).is_ok()));
        }
    });
    if !give_up {
        assert_eq!(barrier.try_wait().is_some(), parties == 1, "no round is under way");
    }
}

pub(super) fn once(dice: &mut Dice, world: &Arc<World>) {
    let pause = dice.moment();
    world.once.get_or_init(|| {
        sleep(pause);
        Value::new()
    });
    let (once, lazy) = (Once::new(), Lazy::new(Value::new));
    let fails = dice.one_in(3);
    scope(|s| {
        for i in 0..dice.roll(4) {
            let (once, lazy) = (&once, &lazy);
            s.spawn(move || {
                let first = catch_unwind(AssertUnwindSafe(|| {
                    once.call_once(|| if fails && i == 0 { planned() } else { yield_now() });
                }));
                Lazy::force(lazy).look();
                drop(first);
                check_cancelled();
            });
        }
    });
}

pub(super) fn notice(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(10) {
        match dice.roll(3) {
            0 => world.notify.notify_one(),
            1 => world.notify.notify_waiters(),
            _ => _ = world.notify.wait_timeout(dice.moment()),
        }
    }
}
