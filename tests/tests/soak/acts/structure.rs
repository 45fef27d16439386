//! What acts do with scopes, panics, contexts, groups, pools and parallel loops; and with what a task has of its own.

use super::{Value, World, planned};
use crate::Dice;
use greenlight::{
    context::Context,
    go,
    group::{Group, Pool, parallel_for, parallel_map},
    scope, sleep,
    task::{Builder, shield},
    task_local, yield_now,
};
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::*},
    },
    time::Duration,
};

pub(super) fn scopes(dice: &mut Dice, world: &Arc<World>) {
    fn tree(dice: &mut Dice, depth: u64, seen: &AtomicU64) {
        let fate = dice.roll(12);
        let children: Vec<_> = (0..dice.roll(4)).map(|_| dice.fork()).collect();
        scope(|s| {
            for mut dice in children {
                s.spawn(move || {
                    seen.fetch_add(1, Relaxed);
                    sleep(dice.moment() / 4);
                    if depth > 0 {
                        tree(&mut dice, depth - 1, seen);
                    }
                });
            }
            match fate {
                0 => planned(),
                1 => s.cancel(),
                2 => drop(s.spawn(|| planned())),
                _ => {}
            }
        });
    }
    let seen = AtomicU64::new(0);
    let held = world.rw_lock.try_read_recursive();
    let ended = catch_unwind(AssertUnwindSafe(|| tree(dice, 2, &seen)));
    drop(held);
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

pub(super) fn panics(dice: &mut Dice, _: &Arc<World>) {
    struct DropsLate(Duration, Value);
    impl Drop for DropsLate {
        fn drop(&mut self) {
            // While it unwinds, this blocks the worker.
            sleep(self.0);
            self.1.look();
        }
    }
    let tasks: Vec<_> = (0..dice.roll(6))
        .map(|_| {
            let (pause, late) = (dice.moment(), DropsLate(dice.moment() / 8, Value::new()));
            go(move || {
                let _late = late;
                sleep(pause);
                planned()
            })
        })
        .collect();
    for task in tasks {
        if dice.one_in(3) {
            task.cancel();
        }
        if dice.one_in(2) {
            let task: Result<(), _> = task.join();
            assert!(task.is_err());
        }
    }
    if dice.one_in(2) {
        planned();
    }
}

task_local! {
    static MINE: RefCell<Vec<Value>> = RefCell::default();
}

pub(super) fn names_and_locals(dice: &mut Dice, _: &Arc<World>) {
    thread_local!(static HERE: Rc<Cell<u64>> = Rc::default());
    for _ in 0..dice.roll(5) {
        let turns = dice.roll(5) as usize;
        let task = Builder::new().name("an act's").spawn(move || {
            let here = HERE.with(Rc::clone);
            for _ in 0..turns {
                MINE.with(|mine| {
                    let mut mine = mine.borrow_mut();
                    yield_now();
                    mine.push(Value::new());
                });
                here.set(here.get() + 1);
                assert!(HERE.with(|there| Rc::ptr_eq(there, &here)));
            }
            MINE.with(|mine| mine.borrow().len())
        });
        assert_eq!(task.name(), Some("an act's"));
        assert!(task.join().map_or_else(|error| error.is_cancelled(), |len| len == turns));
    }
}

pub(super) fn contexts(dice: &mut Dice, _: &Arc<World>) {
    let (root, cancel) = Context::background().with_timeout(Duration::from_millis(1) + dice.moment());
    let tasks: Vec<_> = (0..dice.roll(8))
        .map(|_| {
            let (child, own) = root.with_value(Value::new()).with_timeout(dice.moment() * 4);
            let value = Value::new();
            let last = child.after_func(move || drop(value));
            last.detach();
            let waits = dice.one_in(2);
            go(move || {
                child.value::<Value>().expect("it was given").look();
                if waits {
                    child.wait();
                }
                drop(own);
            })
        })
        .collect();
    if dice.one_in(2) {
        cancel.cancel();
    }
    root.wait();
    tasks.into_iter().for_each(|task| _ = task.join());
}

pub(super) fn groups(dice: &mut Dice, _: &Arc<World>) {
    let group = Group::<greenlight::group::FirstError<u64>>::new(&Context::background());
    if dice.one_in(2) {
        group.set_limit(1 + dice.roll(3) as usize);
    }
    for i in 0..dice.roll(8) {
        let (fate, pause, ctx) = (dice.roll(12), dice.moment(), group.context().clone());
        group.go(move || match fate {
            0 => Err(i),
            1 => planned(),
            2 => ctx.wait_timeout(pause).map(drop).map_err(|_| i),
            _ => {
                sleep(pause);
                Ok(())
            }
        });
    }
    let _ = group.wait();
}

pub(super) fn pools(dice: &mut Dice, _: &Arc<World>) {
    let pool = Pool::new(1 + dice.roll(3) as usize, dice.roll(3) as usize);
    let jobs: Vec<_> = (0..dice.roll(10))
        .map(|_| {
            let (value, fails) = (Value::new(), dice.one_in(8));
            pool.submit(move || if fails { planned() } else { value })
        })
        .collect();
    if dice.one_in(2) {
        jobs.into_iter().for_each(|job| drop(job.join()));
    }
    if dice.one_in(2) {
        pool.shutdown();
    }
}

pub(super) fn parallel(dice: &mut Dice, _: &Arc<World>) {
    let values: Vec<_> = (0..dice.roll(30)).map(|_| Value::new()).collect();
    parallel_for(&values, |value| {
        yield_now();
        value.look();
    });
    let copies = parallel_map(&values, Value::clone);
    assert_eq!(copies.len(), values.len());
}

pub(super) fn flights(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(6) {
        let (key, pause) = (dice.roll(3), dice.moment());
        if dice.one_in(2) {
            // Started on a task of its own: nobody is a leader who may be cancelled.
            let flight = world.flights.start(key, move || {
                shield(|| sleep(pause));
                key
            });
            drop(flight);
        } else {
            world.flights.forget(&key);
        }
    }
}
