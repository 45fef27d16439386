//! How many tasks there are: started and ended, parked and woken, of both kinds, and what two of them do beside all the others.

use crate::{
    group::{DECADES, Group, flat},
    point::{Point, tell, timed},
};
use greenlight::{
    WaitGroup, Watch,
    channel::{Receiver, Sender, bounded},
    go, go_async, go_near, yield_now,
};
use std::sync::LazyLock;

const FRESH: &str = "green, stacks never used";
const GREEN: &str = "green, started and ended";
const STACKLESS: &str = "future, started and ended";
const WOKEN: &str = "green, parked and woken";
const WOKEN_STACKLESS: &str = "future, parked and woken";
const YIELD: &str = "green, yield";
const PAIR: &str = "a message, beside them";
const JOIN: &str = "start and join one, beside them";

pub(crate) const GROUP: Group = Group {
    name: "tasks",
    of: "tasks",
    how: "On one worker, CPU time. All tasks are there at the same time.",
    sizes: DECADES,
    // The page of a green thread, and its share of the page tables.
    memory: 4_700,
    lines: &[
        flat(FRESH, "to start a green thread that does nothing, on a stack that nobody has used, and wait for its end"),
        flat(GREEN, "the same on a stack that was used before"),
        flat(STACKLESS, "to start a future that is ready, and wait for its end"),
        flat(WOKEN, "a wake-up of a green thread, and its next park"),
        flat(WOKEN_STACKLESS, "a wake-up of a future, and its next poll"),
        flat(YIELD, "a yield, by each in turn"),
        flat(PAIR, "to hand one over between two green threads, while the others are parked"),
        flat(JOIN, "to start one that does nothing, and join it, while the others are parked"),
    ],
    run: |point| point.on_one_worker(measure),
};

fn measure(point: Point) {
    let (size, rounds) = (point.size, point.rounds());
    if rounds == 1 {
        tell(FRESH, timed(|| start(size, |group| _ = go(|| group.done()))), size);
    }
    let repeat = |line, spawn: fn(&'static WaitGroup)| {
        point.repeat(line, rounds * size, || timed(|| (0..rounds).for_each(|_| start(size, spawn))));
    };
    repeat(GREEN, |group| _ = go(|| group.done()));
    repeat(STACKLESS, |group| _ = go_async(async { group.done() }));

    let crowd = Crowd::of(size, |crowd| _ = go(|| crowd.obey()));
    point.repeat(WOKEN, rounds * size, || timed(|| (0..rounds).for_each(|_| crowd.tell(Order::Park))));
    // Enough of them that the wake-up before and the park after do not count.
    let yields = (50_000 / size).max(16);
    point.repeat(YIELD, yields * size, || timed(|| crowd.tell(Order::Yield(yields))));
    let pair = Pair::new();
    point.repeat(PAIR, 2 * TURNS, || timed(|| pair.play()));
    point.repeat(JOIN, TURNS, || timed(|| (0..TURNS).for_each(|_| go(|| ()).join().expect("no panic"))));
    crowd.end();

    let crowd = Crowd::of(size, |crowd| _ = go_async(crowd.obey_async()));
    point.repeat(WOKEN_STACKLESS, rounds * size, || timed(|| (0..rounds).for_each(|_| crowd.tell(Order::Park))));
    crowd.end();
}

/// Starts so many tasks, each of which says when it is done, and waits for all.
fn start(count: usize, spawn: impl Fn(&'static WaitGroup)) {
    // For the whole process: what a task has of it is an address.
    static DONE: LazyLock<WaitGroup> = LazyLock::new(WaitGroup::new);
    DONE.add(count);
    (0..count).for_each(|_| spawn(&DONE));
    DONE.wait();
}

/// Tasks that are parked until they hear what to do.
struct Crowd {
    size: usize,
    orders: Watch<Order>,
    done: WaitGroup,
}

#[derive(Clone, Copy)]
enum Order {
    Park,
    Yield(usize),
    End,
}

impl Crowd {
    fn of(size: usize, spawn: impl Fn(&'static Crowd)) -> &'static Crowd {
        let crowd: &'static Crowd =
            Box::leak(Box::new(Self { size, orders: Watch::new(Order::Park), done: WaitGroup::new() }));
        crowd.done.add(size);
        (0..size).for_each(|_| spawn(crowd));
        crowd.done.wait();
        crowd
    }

    /// Returns when all have done it, and are on their way to park.
    fn tell(&self, order: Order) {
        self.done.add(self.size);
        self.orders.send(order);
        self.done.wait();
    }

    fn end(&self) {
        self.tell(Order::End);
    }

    fn obey(&self) {
        let mut orders = self.orders.subscribe();
        loop {
            self.done.done();
            orders.changed();
            match orders.get() {
                Order::Park => {}
                Order::Yield(times) => (0..times).for_each(|_| yield_now()),
                Order::End => return self.done.done(),
            }
        }
    }

    async fn obey_async(&self) {
        let mut orders = self.orders.subscribe();
        loop {
            self.done.done();
            orders.changed_async().await;
            if let Order::End = orders.get() {
                return self.done.done();
            }
        }
    }
}

/// So many there and back.
pub(crate) const TURNS: usize = 1_000;

/// Two green threads with two channels: this one, and one that answers.
pub(crate) struct Pair {
    there: Sender<u64>,
    back: Receiver<u64>,
}

impl Pair {
    /// On the worker of the caller.
    pub(crate) fn new() -> Self {
        Self::with(|answer| _ = go_near(answer))
    }

    pub(crate) fn with(spawn: impl FnOnce(Box<dyn FnOnce() + Send>)) -> Self {
        let ((there, here), (answer, back)) = (bounded(0), bounded(0));
        spawn(Box::new(move || here.iter().for_each(|message| answer.send(message).expect("somebody asks"))));
        Self { there, back }
    }

    /// Twice so many messages.
    pub(crate) fn play(&self) {
        for turn in 0..TURNS as u64 {
            self.there.send(turn).expect("it answers");
            assert_eq!(self.back.recv(), Ok(turn));
        }
    }
}
