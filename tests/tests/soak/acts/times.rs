//! What acts do with time: timers, delayed calls, ticks.

use super::{Value, World};
use crate::Dice;
use greenlight::{
    channel::tick,
    sleep,
    time::{Ticker, Timer, after_func},
};
use std::{sync::Arc, time::Duration};

pub(super) fn timers(dice: &mut Dice, _: &Arc<World>) {
    let timer = Timer::new(dice.moment());
    for _ in 0..dice.roll(8) {
        match dice.roll(4) {
            0 => _ = timer.reset(dice.moment()),
            1 => _ = timer.stop(),
            2 => _ = timer.wait_timeout(dice.moment()),
            _ => sleep(dice.moment()),
        }
    }
}

pub(super) fn delayed_calls(dice: &mut Dice, _: &Arc<World>) {
    for _ in 0..dice.roll(8) {
        let value = Value::new();
        let call = after_func(dice.moment(), move || value.look());
        match dice.roll(4) {
            0 => call.detach(),
            1 => _ = call.stop(),
            2 => _ = call.reset(dice.moment()),
            _ => sleep(dice.moment()),
        }
    }
}

pub(super) fn ticks(dice: &mut Dice, _: &Arc<World>) {
    let period = Duration::from_micros(50) + dice.moment();
    let ticker = Ticker::new(period);
    let ticks = tick(period);
    for _ in 0..dice.roll(5) {
        if dice.one_in(2) {
            ticker.wait();
        } else {
            ticks.recv().expect("it never ends");
        }
    }
}
