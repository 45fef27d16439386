//! What is measured: each workload once, generic over library, kind of task and value.
//!
//! Every workload knows what must arrive, and panics if anything else does.

use crate::peers::{AsyncChannel, Crossbeam, Flume, Greenlight, Kanal, Peer, Std, Strict};
use greenlight_benches::{Column, GreenThreads, OsThreads, Tasks, Team, Whose, Workload, now};
use std::{hint::black_box, time::Duration};

#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// One task sends `burst` values and receives them, again and again.
    Pair { burst: usize, capacity: Option<usize> },
    /// One task asks an empty channel.
    TryEmpty,
    /// All producers share one channel, as do all consumers.
    Pipe { producers: usize, consumers: usize, capacity: Option<usize> },
    /// As many producers as channels, and one consumer that selects.
    Select { channels: usize, capacity: Option<usize> },
}

use Shape::*;

/// `most` is what an unbounded channel may have to hold.
const fn row(name: &'static str, shape: Shape) -> Workload<Shape> {
    let most = match shape {
        Pair { .. } | TryEmpty => 1 << 24,
        Pipe { producers: 100, .. } => 1 << 17,
        Pipe { .. } | Select { .. } => 1 << 20,
    };
    Workload { name, shape, least: 1_024, most }
}

const fn pipe(name: &'static str, producers: usize, consumers: usize, capacity: Option<usize>) -> Workload<Shape> {
    row(name, Pipe { producers, consumers, capacity })
}

pub(crate) const WORKLOADS: &[Workload<Shape>] = &[
    row("pair, capacity 1", Pair { burst: 1, capacity: Some(1) }),
    row("pair, capacity 128", Pair { burst: 128, capacity: Some(128) }),
    row("pair, unbounded", Pair { burst: 128, capacity: None }),
    row("try_recv, empty", TryEmpty),
    pipe("1:1, capacity 0", 1, 1, Some(0)),
    pipe("1:1, capacity 1", 1, 1, Some(1)),
    pipe("1:1, capacity 128", 1, 1, Some(128)),
    pipe("1:1, unbounded", 1, 1, None),
    pipe("4:1, capacity 0", 4, 1, Some(0)),
    pipe("4:1, capacity 1", 4, 1, Some(1)),
    pipe("4:1, capacity 128", 4, 1, Some(128)),
    pipe("4:1, unbounded", 4, 1, None),
    pipe("4:4, capacity 0", 4, 4, Some(0)),
    pipe("4:4, capacity 1", 4, 4, Some(1)),
    pipe("4:4, capacity 128", 4, 4, Some(128)),
    pipe("4:4, unbounded", 4, 4, None),
    pipe("100:100, capacity 0", 100, 100, Some(0)),
    pipe("100:100, capacity 1", 100, 100, Some(1)),
    pipe("100:100, capacity 128", 100, 100, Some(128)),
    pipe("100:100, unbounded", 100, 100, None),
    row("select of 2, capacity 0", Select { channels: 2, capacity: Some(0) }),
    row("select of 2, capacity 128", Select { channels: 2, capacity: Some(128) }),
    row("select of 8, capacity 0", Select { channels: 8, capacity: Some(0) }),
    row("select of 8, capacity 128", Select { channels: 8, capacity: Some(128) }),
];

pub(crate) fn columns<V: Value>() -> [Column<Shape>; 8] {
    use Whose::*;
    [
        Column { name: "greenlight, OS threads", whose: Ours, run: run::<Greenlight, OsThreads, V> },
        Column { name: "greenlight, green threads", whose: OursGreen, run: run::<Greenlight, GreenThreads, V> },
        Column { name: "strict, OS threads", whose: OursBeside, run: run::<Strict, OsThreads, V> },
        Column { name: "crossbeam", whose: Peers, run: run::<Crossbeam, OsThreads, V> },
        Column { name: "flume", whose: Peers, run: run::<Flume, OsThreads, V> },
        Column { name: "kanal", whose: Peers, run: run::<Kanal, OsThreads, V> },
        Column { name: "async-channel", whose: Peers, run: run::<AsyncChannel, OsThreads, V> },
        Column { name: "std", whose: Peers, run: run::<Std, OsThreads, V> },
    ]
}

/// What is sent.
pub(crate) trait Value: Send + 'static {
    fn new(number: u64) -> Self;
    /// Panics if the value was torn.
    fn number(&self) -> u64;
}

impl Value for u64 {
    #[inline]
    fn new(number: u64) -> Self {
        number
    }

    #[inline]
    fn number(&self) -> u64 {
        *self
    }
}

impl<const N: usize> Value for [u64; N] {
    #[inline]
    fn new(number: u64) -> Self {
        [number; N]
    }

    #[inline]
    fn number(&self) -> u64 {
        assert!(self.iter().all(|word| *word == self[0]), "torn: {self:?}");
        self[0]
    }
}

/// How many values were received, and what they add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    #[inline]
    fn add(&mut self, number: u64) {
        self.count += 1;
        self.sum += number;
    }

    /// Of the numbers from 0 up to `end`.
    fn below(end: usize) -> Self {
        let end = end as u64;
        Self { count: end, sum: end * end.saturating_sub(1) / 2 }
    }
}

fn run<P: Peer, K: Tasks, V: Value>(shape: &Shape, messages: usize) -> Option<Duration> {
    let shape = *shape;
    K::host(move || match shape {
        Pair { burst, capacity } => pair::<P, V>(burst, capacity, messages),
        TryEmpty => try_empty::<P, V>(messages),
        Pipe { producers, consumers, capacity } => pipeline::<P, K, V>([producers, consumers], capacity, messages),
        Select { channels, capacity } => select::<P, K, V>(channels, capacity, messages),
    })
}

fn pair<P: Peer, V: Value>(burst: usize, capacity: Option<usize>, messages: usize) -> Option<Duration> {
    let (tx, rx) = P::channel::<V>(capacity)?;
    let mut received = Tally::default();
    let start = now();
    for first in (0..messages).step_by(burst) {
        let numbers = first..messages.min(first + burst);
        numbers.clone().for_each(|number| P::send(&tx, V::new(number as u64)));
        numbers.for_each(|_| received.add(P::recv(&rx).expect("just sent").number()));
    }
    let elapsed = now() - start;
    assert_eq!(received, Tally::below(messages));
    Some(elapsed)
}

fn try_empty<P: Peer, V: Value>(messages: usize) -> Option<Duration> {
    let (_tx, rx) = P::channel::<V>(Some(128))?;
    let start = now();
    (0..messages).for_each(|_| assert!(black_box(P::try_recv(&rx)).is_none()));
    Some(now() - start)
}

fn pipeline<P: Peer, K: Tasks, V: Value>(
    [producers, consumers]: [usize; 2],
    capacity: Option<usize>,
    messages: usize,
) -> Option<Duration> {
    if consumers > 1 && !P::SHARED {
        return None;
    }
    let (tx, rx) = P::channel::<V>(capacity)?;
    let mut team = Team::<K, _>::new(producers + consumers);
    let mut receivers: Vec<_> = (1..consumers).map(|_| P::share(&rx)).collect();
    receivers.push(rx);
    for rx in receivers {
        team.start(move || {
            let mut received = Tally::default();
            while let Some(value) = P::recv(&rx) {
                received.add(value.number());
            }
            received
        });
    }
    for producer in 0..producers {
        let tx = tx.clone();
        team.start(move || produce::<P, V>(&tx, producer, producers, messages));
    }
    drop(tx);
    Some(finish(team, messages))
}

fn select<P: Peer, K: Tasks, V: Value>(channels: usize, capacity: Option<usize>, messages: usize) -> Option<Duration> {
    if !P::SELECTS {
        return None;
    }
    let mut team = Team::<K, _>::new(channels + 1);
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..channels).map(|_| P::channel::<V>(capacity)).collect::<Option<_>>()?;
    for (producer, tx) in txs.iter().enumerate() {
        let tx = tx.clone();
        team.start(move || produce::<P, V>(&tx, producer, channels, messages));
    }
    team.start(move || {
        let mut received = Tally::default();
        (0..messages).for_each(|_| received.add(P::select(&rxs).number()));
        drop(txs); // not before: a select finds a closed channel ready at once
        received
    });
    Some(finish(team, messages))
}

/// Sends this producer's share of the numbers below `messages`.
fn produce<P: Peer, V: Value>(tx: &P::Tx<V>, producer: usize, producers: usize, messages: usize) -> Tally {
    (producer..messages).step_by(producers).for_each(|number| P::send(tx, V::new(number as u64)));
    Tally::default()
}

/// Panics unless the tasks together received the numbers below `messages`.
fn finish<K: Tasks>(team: Team<K, Tally>, messages: usize) -> Duration {
    let (elapsed, parts) = team.finish();
    let mut received = Tally::default();
    for part in parts {
        received.count += part.count;
        received.sum += part.sum;
    }
    assert_eq!(received, Tally::below(messages), "every message arrives once");
    elapsed
}
