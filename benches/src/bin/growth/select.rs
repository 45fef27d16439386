//! How many channels there are in one select.

use crate::{
    group::{Group, Line, flat},
    point::{Point, timed},
};
use greenlight::{
    channel::{Receiver, Select, Sender, bounded},
    go_near,
};

const ADD: &str = "added, per arm";
const READY: &str = "one is ready, per arm";
const WHOLE: &str = "one is ready, the select";
const ALL: &str = "all are ready, the select";
const WAIT: &str = "waited, per arm";
const REMOVE: &str = "removed, per arm";

const fn grows(name: &'static str, what: &'static str) -> Line {
    Line { must_grow: true, ..flat(name, what) }
}

pub(crate) const GROUP: Group = Group {
    name: "select",
    of: "channels",
    how: "On one worker, CPU time. Receives of channels of capacity 1, by `Select`.",
    sizes: &[1, 10, 100, 1_000, 10_000],
    memory: 1_000,
    lines: &[
        flat(ADD, "to put a receive into the list"),
        flat(READY, "a select of which one can happen at once, its share of each arm"),
        grows(WHOLE, "the same, in whole"),
        grows(ALL, "a select of which all can happen at once, in whole"),
        flat(
            WAIT,
            "a select that enlists with all, sleeps, is woken by one and withdraws from the others, its share of each arm",
        ),
        flat(REMOVE, "to take a receive out of the list, the first one first"),
    ],
    run: |point| point.on_one_worker(measure),
};

type Channel = (Sender<u32>, Receiver<u32>);

fn measure(point: Point) {
    let size = point.size;
    let rounds = point.rounds();
    // For the whole process, so that the sender's green thread has them, too.
    let channels: &'static [Channel] = Vec::leak((0..size).map(|_| bounded(1)).collect());
    let list = || {
        let mut select = Select::new();
        channels.iter().for_each(|(_, rx)| _ = select.recv(rx));
        select
    };
    // Built in advance: to free it is no part of it either.
    let mut lists: Vec<_> = Vec::new();
    point.repeat(ADD, rounds * size, || {
        lists.clear();
        timed(|| lists.extend((0..rounds).map(|_| list())))
    });
    point.repeat(REMOVE, rounds * size, || {
        lists.clear();
        lists.extend((0..rounds).map(|_| list()));
        timed(|| lists.iter_mut().for_each(|select| (0..size).for_each(|index| select.remove(index))))
    });
    drop(lists);

    let mut select = list();
    let mut places = (0..size).cycle().step_by(7);
    let mut ready = || {
        timed(|| {
            for place in places.by_ref().take(rounds) {
                channels[place].0.send(1).expect("room");
                let chosen = select.select();
                assert_eq!(chosen.index(), place);
                assert_eq!(chosen.recv(&channels[place].1), Ok(1));
            }
        })
    };
    point.repeat(READY, rounds * size, &mut ready);
    point.repeat(WHOLE, rounds, ready);

    channels.iter().for_each(|(tx, _)| tx.send(1).expect("room"));
    point.repeat(ALL, rounds, || {
        timed(|| {
            for _ in 0..rounds {
                let chosen = select.select();
                let place = chosen.index();
                assert_eq!(chosen.recv(&channels[place].1), Ok(1));
                channels[place].0.send(1).expect("room");
            }
        })
    });
    channels.iter().for_each(|(_, rx)| _ = rx.recv());

    // The other one sends when this one sleeps in its select: on one worker it runs at no other time.
    let (ask, asked) = bounded::<usize>(1);
    go_near(move || asked.iter().for_each(|place| channels[place].0.send(2).expect("somebody selects")));
    let mut places = (0..size).cycle().step_by(7);
    point.repeat(WAIT, rounds * size, || {
        timed(|| {
            for place in places.by_ref().take(rounds) {
                ask.send(place).expect("it listens");
                let chosen = select.select();
                assert_eq!(chosen.index(), place);
                assert_eq!(chosen.recv(&channels[place].1), Ok(2));
            }
        })
    });
}
