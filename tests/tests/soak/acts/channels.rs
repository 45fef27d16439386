//! What acts do with channels: send, receive, select; one value, the latest, all.

use super::{Ends, Value, World};
use crate::Dice;
use greenlight::{
    block_on,
    channel::{Select, after, bounded, bounded_strict, oneshot, unbounded, watch},
    go, select, sleep,
    time::timeout,
    yield_now,
};
use std::sync::Arc;

pub(super) fn shared_channels(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(30) {
        let (tx, rx) = world.channel(dice);
        match dice.roll(6) {
            0 => drop(tx.try_send(Value::new())),
            1 => drop(rx.try_recv()),
            2 => drop(tx.send_timeout(Value::new(), dice.moment())),
            3 => drop(rx.recv_timeout(dice.moment()).inspect(Value::look)),
            4 => drop(rx.drain().next()),
            _ => drop(block_on(timeout(dice.moment(), rx.recv_async()))),
        }
    }
}

pub(super) fn fixed_channel(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        match dice.roll(3) {
            0 => drop(world.fixed.sender().send_timeout(Value::new(), dice.moment())),
            1 => drop(world.fixed.receiver().recv_timeout(dice.moment()).inspect(Value::look)),
            _ => drop(world.fixed.receiver().try_recv()),
        }
    }
}

/// Producers, a stage, a consumer; any of them may be cancelled, and all of it ends.
pub(super) fn pipeline(dice: &mut Dice, _: &Arc<World>) {
    let make = |dice: &mut Dice| -> Ends {
        match dice.roll(4) {
            0 => bounded(0),
            1 => bounded(1 + dice.roll(8) as usize),
            2 => bounded_strict(1 + dice.roll(8) as usize),
            _ => unbounded(),
        }
    };
    let ((tx, rx), (out, done)) = (make(dice), make(dice));
    let count = dice.roll(50);
    let mut tasks: Vec<_> = (0..1 + dice.roll(4))
        .map(|_| {
            let tx = tx.clone();
            go(move || (0..count).take_while(|_| tx.send(Value::new()).is_ok()).count())
        })
        .collect();
    tasks.extend((0..1 + dice.roll(3)).map(|_| {
        let (rx, out) = (rx.clone(), out.clone());
        go(move || rx.iter().take_while(|value| out.send(value.clone()).is_ok()).count())
    }));
    drop((tx, rx, out));
    if dice.one_in(3) {
        tasks[dice.roll(tasks.len() as u64) as usize].cancel();
    }
    if dice.one_in(5) {
        drop(done);
    } else {
        done.iter().for_each(|value| value.look());
    }
    tasks.into_iter().for_each(|task| _ = task.join());
}

pub(super) fn selects(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        let ((tx, _), (_, rx), (_, other)) = (world.channel(dice), world.channel(dice), world.channel(dice));
        let limit = dice.moment();
        if dice.one_in(2) {
            select! {
                send(tx, Value::new()) -> sent => drop(sent),
                recv(rx) -> value => drop(value),
                recv(other) -> value => drop(value),
                default(limit) => {}
            }
        } else {
            let mut watcher = world.level.subscribe();
            select! {
                recv(rx) -> value => drop(value),
                wait(watcher.changed_async()) -> () => {},
                wait(world.permits.acquire_async(1)) -> permit => drop(permit),
                recv(after(limit)) -> _ => {},
            }
        }
    }
}

pub(super) fn dynamic_select(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(10) {
        let mut list = Select::new();
        let receivers: Vec<_> = (0..1 + dice.roll(4)).map(|_| &world.channel(dice).1).collect();
        receivers.iter().for_each(|rx| _ = list.recv(rx));
        if dice.one_in(2) {
            if let Ok(chosen) = list.select_timeout(dice.moment()) {
                let index = chosen.index();
                drop(chosen.recv(receivers[index]));
            }
        } else if let Ok(index) = list.ready_timeout(dice.moment()) {
            drop(receivers[index].try_recv());
        }
    }
}

pub(super) fn one_value(dice: &mut Dice, _: &Arc<World>) {
    let (tx, mut rx) = oneshot::channel();
    let sends = !dice.one_in(4);
    let pause = dice.moment();
    let task = go(move || {
        sleep(pause);
        if sends {
            drop(tx.send(Value::new()));
        }
    });
    if dice.one_in(4) {
        task.cancel();
    }
    drop(rx.recv_timeout(dice.moment()));
    if dice.one_in(2) {
        drop(rx.recv());
    }
}

pub(super) fn latest_value(dice: &mut Dice, world: &Arc<World>) {
    let (tx, rx) = watch::channel(Value::new());
    let watchers: Vec<_> = (0..dice.roll(4))
        .map(|_| {
            let mut rx = rx.clone();
            go(move || {
                while rx.changed().is_ok() {
                    rx.with(Value::look);
                }
            })
        })
        .collect();
    for _ in 0..dice.roll(10) {
        drop(tx.send(Value::new()));
        world.level.send_modify(|level| *level += 1);
        yield_now();
    }
    drop(tx);
    watchers.into_iter().for_each(|task| _ = task.join()); // cancelled, if all are
    let _ = world.level.subscribe().changed_timeout(dice.moment());
}

pub(super) fn all_values(dice: &mut Dice, world: &Arc<World>) {
    let mut listener = world.news.subscribe();
    for _ in 0..dice.roll(10) {
        match dice.roll(3) {
            0 => drop(world.news.send(Value::new())),
            1 => drop(listener.recv_timeout(dice.moment())),
            _ => drop(listener.try_recv()),
        }
    }
}
