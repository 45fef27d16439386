//! Every primitive under contention among real cores, without an operating system: what the firmwares for several cores run.
//!
//! All cores enter [`run`] and do each test together: between two tests they wait for each other, and at the end of one the
//! first core checks the sums. A waiting core spins, as without hooks and without feature `std` every wait does; so a test must
//! not need more cores than there are. A machine that has timer interrupts brings them as [`Machine::ticks`]: they strike while
//! the cores are at work, and call [`on_tick`], which uses what a handler may use.
//!
//! To add a primitive: write its function and put it in `TESTS`.
#![no_std]

use core::{
    fmt,
    future::Future,
    pin::pin,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::*},
    task::{Context, Waker},
};
use greenlight_core::{
    Barrier, Condvar, Lazy, Mutex, Notify, Once, OnceCell, RwLock, Semaphore, SpinMutex, TicketMutex, WaitGroup, Watch,
    channel::{StaticChannel, TryRecvError},
    select,
};

/// What differs from machine to machine.
pub trait Machine: Sync {
    /// Which core this is, from 0.
    fn core(&self) -> usize;
    /// Prints a line. No two cores mix theirs.
    fn print(&self, line: fmt::Arguments<'_>);
    /// Switches this core's timer interrupts on, or off. False if the machine has none.
    fn ticks(&self, on: bool) -> bool;
}

/// How many cores there must be.
pub const CORES: usize = 4;

type Test = fn(&Team<'_>);

const TESTS: &[(&str, Test)] = &[
    ("channel_try_calls_and_interrupts", channel_try_calls_and_interrupts),
    ("channel_blocking_calls", channel_blocking_calls),
    ("channel_close", channel_close),
    ("selects", selects),
    ("wait_group", wait_group),
    ("spin_mutex", spin_mutex),
    ("ticket_mutex", ticket_mutex),
    ("mutex", mutex),
    ("rw_lock", rw_lock),
    ("watch", watch),
    ("once", once),
    ("once_cell", once_cell),
    ("lazy", lazy),
    ("semaphore", semaphore),
    ("notify", notify),
    ("barrier", barrier),
    ("condvar", condvar),
];

/// Every core calls this once.
pub fn run(machine: &dyn Machine) {
    let team = Team { machine, core: machine.core() };
    // The control has nothing to break but one.
    let tests = TESTS.iter().filter(|(name, _)| !cfg!(feature = "broken") || *name == "spin_mutex");
    for (name, test) in tests {
        team.meet();
        test(&team);
        team.meet();
        if team.is_first() {
            machine.print(format_args!("test {name} ... ok"));
        }
    }
    team.meet();
}

/// A timer interrupt of `core`: sends to the channel of the test that is at work.
pub fn on_tick(core: usize) {
    send(CORES + core);
}

struct Team<'a> {
    machine: &'a dyn Machine,
    core: usize,
}

impl Team<'_> {
    fn is_first(&self) -> bool {
        self.core == 0
    }

    /// All cores wait here for each other.
    fn meet(&self) {
        static ARRIVED: AtomicUsize = AtomicUsize::new(0);
        let round = ARRIVED.fetch_add(1, AcqRel) / CORES;
        while ARRIVED.load(Acquire) / CORES == round {
            core::hint::spin_loop();
        }
    }
}

/// A total that all cores add to.
struct Sum(AtomicU64);

impl Sum {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// After a meeting.
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The sum of the numbers below `n`.
fn below(n: u64) -> u64 {
    n * (n - 1) / 2
}

// The channel that interrupt handlers send to as well: sources 0 to 3 are the cores, 4 to 7 their handlers.

const SOURCES: usize = 2 * CORES;
static QUEUE: StaticChannel<u64, 16> = StaticChannel::new();
/// How many values a source has sent; only it writes.
static SENT: [AtomicU64; SOURCES] = [const { AtomicU64::new(0) }; SOURCES];

fn send(source: usize) -> bool {
    let number = SENT[source].load(Relaxed);
    let sent = QUEUE.sender().try_send(number * SOURCES as u64 + source as u64).is_ok();
    if sent {
        SENT[source].store(number + 1, Relaxed);
    }
    sent
}

/// Two cores send and two receive, all by `try_` calls; the handlers of all four send as well.
fn channel_try_calls_and_interrupts(team: &Team<'_>) {
    const EACH: u64 = 40_000;
    static RECEIVED: [AtomicU64; SOURCES] = [const { AtomicU64::new(0) }; SOURCES];
    static SUMS: [Sum; SOURCES] = [const { Sum::new() }; SOURCES];
    static AT_WORK: AtomicUsize = AtomicUsize::new(2);

    let mut last = [None; SOURCES];
    let mut received = |value: u64| {
        let (number, source) = (value / SOURCES as u64, (value % SOURCES as u64) as usize);
        assert!(last[source] < Some(number), "source {source}: {number} after {:?}", last[source]);
        last[source] = Some(number);
        RECEIVED[source].fetch_add(1, Relaxed);
        SUMS[source].add(number);
    };
    let interrupts = team.machine.ticks(true);
    if team.core < 2 {
        while SENT[team.core].load(Relaxed) < EACH {
            send(team.core);
        }
        team.machine.ticks(false);
        AT_WORK.fetch_sub(1, Release);
    } else {
        loop {
            let over = AT_WORK.load(Acquire) == 0;
            if over {
                team.machine.ticks(false);
            }
            match QUEUE.receiver().try_recv() {
                Ok(value) => received(value),
                Err(_) if over => break,
                Err(_) => {}
            }
        }
    }
    team.meet();
    // A handler of the other receiver may have sent after this one left.
    if team.core == 2 {
        QUEUE.receiver().try_iter().for_each(received);
    }
    team.meet();
    if team.is_first() {
        for source in 0..SOURCES {
            let sent = SENT[source].load(Relaxed);
            assert_eq!(RECEIVED[source].load(Relaxed), sent, "source {source}");
            if sent > 0 {
                assert_eq!(SUMS[source].get(), below(sent), "source {source}");
            }
        }
        let from_handlers: u64 = SENT[CORES..].iter().map(|sent| sent.load(Relaxed)).sum();
        team.machine.print(format_args!("  {} values from cores, {from_handlers} from handlers", 2 * EACH));
        assert_eq!(from_handlers > 0, interrupts);
    }
}

/// Two cores send and two receive, and wait for each other: there is room for two values.
fn channel_blocking_calls(team: &Team<'_>) {
    const EACH: u64 = 10_000;
    static CHANNEL: StaticChannel<(usize, u64), 2> = StaticChannel::new();
    static RECEIVED: Sum = Sum::new();
    static TOTAL: Sum = Sum::new();
    if team.core < 2 {
        (0..EACH).for_each(|number| CHANNEL.sender().send((team.core, number)).unwrap());
    } else {
        let mut last = [None; 2];
        for _ in 0..EACH {
            let (source, number) = CHANNEL.receiver().recv().unwrap();
            assert!(last[source] < Some(number), "source {source}: {number} after {:?}", last[source]);
            last[source] = Some(number);
            RECEIVED.add(1);
            TOTAL.add(number);
        }
    }
    team.meet();
    if team.is_first() {
        assert_eq!((RECEIVED.get(), TOTAL.get()), (2 * EACH, 2 * below(EACH)));
        assert_eq!(CHANNEL.receiver().try_recv(), Err(TryRecvError::Empty));
    }
}

/// Two cores send until somebody closes; both receivers get all that was sent, and then hear of it.
fn channel_close(team: &Team<'_>) {
    const ROUNDS: usize = 32;
    static CHANNELS: [StaticChannel<u64, 3>; ROUNDS] = [const { StaticChannel::new() }; ROUNDS];
    static SENT: Sum = Sum::new();
    static RECEIVED: Sum = Sum::new();
    static CLOSED: Sum = Sum::new();
    for (round, channel) in CHANNELS.iter().enumerate() {
        team.meet();
        if team.core < 2 {
            for number in 1.. {
                if channel.sender().send(number).is_err() {
                    break;
                }
                SENT.add(number);
            }
        } else {
            for turn in 0.. {
                match channel.receiver().recv() {
                    Ok(number) => RECEIVED.add(number),
                    Err(_) => break,
                }
                if turn == 10 + round && channel.receiver().close() {
                    CLOSED.add(1);
                }
            }
        }
    }
    team.meet();
    if team.is_first() {
        assert_eq!((SENT.get(), CLOSED.get()), (RECEIVED.get(), ROUNDS as u64));
    }
}

/// All four select at once over two channels, each to send on one and to receive from the other; a value goes round and none
/// is lost.
fn selects(team: &Team<'_>) {
    const EACH: u64 = 10_000;
    static CHANNELS: [StaticChannel<u64, 2>; 2] = [const { StaticChannel::new() }; 2];
    static SENT: Sum = Sum::new();
    static RECEIVED: Sum = Sum::new();
    static AT_WORK: AtomicUsize = AtomicUsize::new(CORES);
    let to = CHANNELS[team.core % 2].sender();
    let from = CHANNELS[(team.core + 1) % 2].receiver();
    let mut number = 0;
    while number < EACH {
        select! {
            send(to, number) -> sent => {
                sent.unwrap();
                SENT.add(number);
                number += 1;
            }
            recv(from) -> value => RECEIVED.add(value.unwrap()),
        }
    }
    // The others may still have to send.
    AT_WORK.fetch_sub(1, Release);
    while AT_WORK.load(Acquire) > 0 {
        select! {
            recv(from) -> value => RECEIVED.add(value.unwrap()),
            default => {}
        }
    }
    team.meet();
    from.try_iter().for_each(|value| RECEIVED.add(value));
    team.meet();
    if team.is_first() {
        assert_eq!((SENT.get(), RECEIVED.get()), (CORES as u64 * below(EACH), CORES as u64 * below(EACH)));
    }
}

/// The first core waits for the work of the others, again and again; what they wrote is there when it goes on.
fn wait_group(team: &Team<'_>) {
    const ROUNDS: usize = 300;
    static GROUP: WaitGroup = WaitGroup::new();
    static WORK: [AtomicUsize; CORES] = [const { AtomicUsize::new(0) }; CORES];
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    if team.is_first() {
        for round in 1..=ROUNDS {
            GROUP.add(CORES - 1);
            ROUND.store(round, Release);
            GROUP.wait();
            for work in &WORK[1..] {
                assert_eq!(work.load(Relaxed), round);
            }
        }
    } else {
        for round in 1..=ROUNDS {
            while ROUND.load(Acquire) < round {
                core::hint::spin_loop();
            }
            let _done = GROUP.done_on_drop();
            WORK[team.core].store(round, Relaxed);
        }
    }
    team.meet();
    assert_eq!(GROUP.count(), 0);
}

/// The control counts without the lock, and for so long that the cores meet even where they take turns on one CPU: at
/// 2,000,000 a busy machine has once run one after the other.
fn spin_mutex(team: &Team<'_>) {
    const EACH: u64 = if cfg!(feature = "broken") { 20_000_000 } else { 50_000 };
    static COUNT: SpinMutex<u64> = SpinMutex::new(0);
    #[cfg(feature = "broken")]
    static BROKEN: AtomicU64 = AtomicU64::new(0);
    for _ in 0..EACH {
        #[cfg(not(feature = "broken"))]
        {
            *COUNT.lock() += 1;
        }
        #[cfg(feature = "broken")]
        BROKEN.store(BROKEN.load(Relaxed) + 1, Relaxed);
    }
    team.meet();
    #[cfg(feature = "broken")]
    if team.is_first() {
        *COUNT.lock() = BROKEN.load(Relaxed);
    }
    team.meet();
    assert_eq!(*COUNT.lock(), CORES as u64 * EACH);
}

/// As for the mutex below, with the lock that serves in the order of arrival.
fn ticket_mutex(team: &Team<'_>) {
    const EACH: u64 = 2_000;
    static PAIR: TicketMutex<(u64, u64)> = TicketMutex::new((0, 0));
    static DONE: Sum = Sum::new();
    let mut done = 0;
    for turn in 0..EACH {
        let pair = if turn % 4 == 3 { PAIR.try_lock() } else { Some(PAIR.lock()) };
        if let Some(mut pair) = pair {
            assert_eq!(pair.0, pair.1);
            pair.0 += 1;
            pair.1 += 1;
            done += 1;
        }
    }
    DONE.add(done);
    team.meet();
    assert_eq!(*PAIR.lock(), (DONE.get(), DONE.get()));
}

/// Two words that are equal whenever nobody is at them; a `try_lock` counts only if it got in.
fn mutex(team: &Team<'_>) {
    const EACH: u64 = 10_000;
    static PAIR: Mutex<(u64, u64)> = Mutex::new((0, 0));
    static DONE: Sum = Sum::new();
    let mut done = 0;
    for turn in 0..EACH {
        let pair = if turn % 4 == 3 { PAIR.try_lock() } else { Some(PAIR.lock()) };
        if let Some(mut pair) = pair {
            assert_eq!(pair.0, pair.1);
            pair.0 += 1;
            pair.1 += 1;
            done += 1;
        }
    }
    DONE.add(done);
    team.meet();
    assert_eq!(*PAIR.lock(), (DONE.get(), DONE.get()));
}

/// Two cores write, two read, and no reader ever sees half of a write.
fn rw_lock(team: &Team<'_>) {
    const EACH: u64 = 1_000;
    static PAIR: RwLock<(u64, u64)> = RwLock::new((0, 0));
    for _ in 0..EACH {
        if team.core < 2 {
            let mut pair = PAIR.write();
            pair.0 += 1;
            pair.1 += 1;
        } else {
            let pair = PAIR.read();
            assert_eq!(pair.0, pair.1);
        }
    }
    team.meet();
    assert_eq!(*PAIR.read(), (2 * EACH, 2 * EACH));
}

/// Two cores change a value, two watch it: they see it grow, and they see the last.
fn watch(team: &Team<'_>) {
    const EACH: u64 = 1_000;
    static LEVEL: Watch<u64> = Watch::new(0);
    let mut watcher = LEVEL.subscribe();
    if team.core < 2 {
        (0..EACH).for_each(|_| LEVEL.send_modify(|level| *level += 1));
    } else {
        let mut last = watcher.get();
        while last < 2 * EACH {
            watcher.changed();
            let level = watcher.get();
            assert!(level >= last, "{level} after {last}");
            last = level;
        }
    }
    team.meet();
    assert_eq!(LEVEL.get(), 2 * EACH);
}

/// All come at once, one of them only to wait: it is done once, and all see what was done.
fn once(team: &Team<'_>) {
    const ROUNDS: usize = 64;
    static ONCES: [Once; ROUNDS] = [const { Once::new() }; ROUNDS];
    static RAN: [AtomicUsize; ROUNDS] = [const { AtomicUsize::new(0) }; ROUNDS];
    static DONE_BY: Sum = Sum::new();
    for (round, (once, ran)) in ONCES.iter().zip(&RAN).enumerate() {
        let run = || {
            ran.store(ran.load(Relaxed) + 1, Relaxed);
            DONE_BY.add(1);
        };
        team.meet();
        match (round + team.core) % CORES {
            0 => once.wait(),
            1 => while !once.try_call_once(run) {},
            _ => once.call_once(run),
        }
        assert!(once.is_completed());
        assert_eq!(ran.load(Relaxed), 1, "round {round}");
    }
    team.meet();
    assert_eq!(DONE_BY.get(), ROUNDS as u64);
}

/// Some fail to make the value, the others make it in three ways, and all get what one of them has made.
fn once_cell(team: &Team<'_>) {
    const ROUNDS: usize = 64;
    static CELLS: [OnceCell<(u64, u64)>; ROUNDS] = [const { OnceCell::new() }; ROUNDS];
    static FAILED: Sum = Sum::new();
    static MADE: Sum = Sum::new();
    static MADE_SUM: Sum = Sum::new();
    static SEEN_SUM: Sum = Sum::new();
    let made = |number| {
        MADE.add(1);
        MADE_SUM.add(number);
    };
    for (round, cell) in CELLS.iter().enumerate() {
        let number = (round * CORES + team.core) as u64;
        team.meet();
        let value = match (round + team.core) % CORES {
            0 => {
                if cell.get_or_try_init(|| Err(FAILED.add(1))).is_ok() {
                    assert!(cell.get().is_some());
                }
                cell.wait()
            }
            1 => {
                if cell.set((number, !number)).is_ok() {
                    made(number);
                }
                cell.get().expect("written")
            }
            _ => cell.get_or_init(|| {
                made(number);
                (number, !number)
            }),
        };
        assert_eq!(value.0, !value.1, "round {round}");
        SEEN_SUM.add(value.0);
    }
    team.meet();
    if team.is_first() {
        assert_eq!((MADE.get(), SEEN_SUM.get()), (ROUNDS as u64, CORES as u64 * MADE_SUM.get()));
        assert!(FAILED.get() <= ROUNDS as u64);
    }
}

/// Each is made by whoever uses it first, the `n`th to be made with the value `n`.
fn lazy(team: &Team<'_>) {
    const ROUNDS: usize = 64;
    static MADE: AtomicU64 = AtomicU64::new(0);
    static LAZIES: [Lazy<u64>; ROUNDS] = [const { Lazy::new(|| MADE.fetch_add(1, Relaxed)) }; ROUNDS];
    static SUM: Sum = Sum::new();
    for (round, lazy) in LAZIES.iter().enumerate() {
        team.meet();
        SUM.add(if (round + team.core).is_multiple_of(CORES) {
            loop {
                if let Some(value) = Lazy::try_force(lazy) {
                    break *value;
                }
            }
        } else {
            **lazy
        });
    }
    team.meet();
    assert_eq!((MADE.load(Relaxed), SUM.get()), (ROUNDS as u64, CORES as u64 * below(ROUNDS as u64)));
}

/// Three permits for four cores, who take one or two; never are more out. Then the first core closes it, and the others, who
/// want more than there are, hear of it.
fn semaphore(team: &Team<'_>) {
    const EACH: usize = 2_000;
    const PERMITS: usize = 3;
    static SEMAPHORE: Semaphore = Semaphore::new(PERMITS);
    static OUT: AtomicUsize = AtomicUsize::new(0);
    static TAKEN: Sum = Sum::new();
    static LEFT: Sum = Sum::new();
    let (mut taken, mut left) = (0, 0);
    for turn in 0..EACH {
        let wanted = 1 + (turn + team.core) % 2;
        let permit = if turn % 4 == 3 {
            SEMAPHORE.try_acquire(wanted).ok()
        } else {
            Some(SEMAPHORE.acquire(wanted).expect("it is open"))
        };
        let Some(permit) = permit else {
            left += 1;
            continue;
        };
        assert!(OUT.fetch_add(wanted, Relaxed) + wanted <= PERMITS);
        taken += 1;
        OUT.fetch_sub(wanted, Relaxed);
        drop(permit);
    }
    TAKEN.add(taken);
    LEFT.add(left);
    team.meet();
    assert_eq!(TAKEN.get() + LEFT.get(), (CORES * EACH) as u64);
    assert_eq!((SEMAPHORE.available_permits(), OUT.load(Relaxed)), (PERMITS, 0));
    team.meet();
    if team.is_first() {
        SEMAPHORE.add_permits(1);
        SEMAPHORE.close();
    } else {
        assert!(SEMAPHORE.acquire(PERMITS + 2).is_err());
    }
    team.meet();
    assert_eq!(SEMAPHORE.available_permits(), PERMITS + 1);
}

/// Two pairs of cores hand a number to and fro; then the first core tells all others, who have begun to wait, at once.
fn notify(team: &Team<'_>) {
    const EACH: usize = 1_000;
    const ROUNDS: usize = 64;
    static THERE: [Notify; CORES / 2] = [const { Notify::new() }; CORES / 2];
    static BACK: [Notify; CORES / 2] = [const { Notify::new() }; CORES / 2];
    static NUMBERS: [AtomicUsize; CORES / 2] = [const { AtomicUsize::new(0) }; CORES / 2];
    static ALL: Notify = Notify::new();
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    static TOLD: Sum = Sum::new();

    let pair = team.core / 2;
    let (there, back, number) = (&THERE[pair], &BACK[pair], &NUMBERS[pair]);
    for turn in 0..EACH {
        if team.core.is_multiple_of(2) {
            assert_eq!(number.load(Relaxed), 2 * turn);
            number.store(2 * turn + 1, Relaxed);
            there.notify_one();
            back.wait();
        } else {
            there.wait();
            assert_eq!(number.load(Relaxed), 2 * turn + 1);
            number.store(2 * turn + 2, Relaxed);
            back.notify_one();
        }
    }
    team.meet();
    assert_eq!(number.load(Relaxed), 2 * EACH);
    assert!(!there.try_wait() && !back.try_wait(), "one is kept that somebody has had");

    for round in 1..=ROUNDS {
        if team.is_first() {
            while WAITING.load(Acquire) < (CORES - 1) * round {
                core::hint::spin_loop();
            }
            ALL.notify_waiters();
        } else {
            let mut told = pin!(ALL.notified());
            WAITING.fetch_add(1, Release);
            while told.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
            TOLD.add(1);
        }
        team.meet();
    }
    assert_eq!(TOLD.get(), (ROUNDS * (CORES - 1)) as u64);
    assert!(!ALL.try_wait());
}

/// Nobody goes on before all have written what they had to; one leads in each round.
fn barrier(team: &Team<'_>) {
    const ROUNDS: usize = 200;
    static BARRIER: Barrier = Barrier::new(CORES);
    static WORK: [AtomicUsize; CORES] = [const { AtomicUsize::new(0) }; CORES];
    static LEADERS: Sum = Sum::new();
    for round in 1..=ROUNDS {
        WORK[team.core].store(round, Relaxed);
        // One of them looks for the moment when all others are there, and so leads; in other rounds, whoever is last.
        let leads = if team.core == round % (2 * CORES) {
            loop {
                if let Some(result) = BARRIER.try_wait() {
                    break result.is_leader();
                }
            }
        } else {
            BARRIER.wait().is_leader()
        };
        LEADERS.add(leads.into());
        for work in &WORK {
            assert_eq!(work.load(Relaxed), round);
        }
        BARRIER.wait();
    }
    team.meet();
    assert_eq!(LEADERS.get(), ROUNDS as u64);
}

/// Two cores fill a place and two empty it, each waiting for the others; then all wait for a gate that the first one opens.
fn condvar(team: &Team<'_>) {
    const EACH: u64 = 1_000;
    const ROUNDS: u64 = 64;
    static PLACE: Mutex<Option<u64>> = Mutex::new(None);
    static FILLED: Condvar = Condvar::new();
    static EMPTIED: Condvar = Condvar::new();
    static TOTAL: Sum = Sum::new();
    static GATE: Mutex<u64> = Mutex::new(0);
    static OPENED: Condvar = Condvar::new();
    if team.core < 2 {
        for number in 0..EACH {
            *EMPTIED.wait_while(PLACE.lock(), |place| place.is_some()) = Some(number);
            FILLED.notify_one();
        }
    } else {
        for _ in 0..EACH {
            let number = FILLED.wait_while(PLACE.lock(), |place| place.is_none()).take();
            EMPTIED.notify_one();
            TOTAL.add(number.expect("waited for"));
        }
    }
    team.meet();
    assert_eq!((TOTAL.get(), *PLACE.lock()), (2 * below(EACH), None));

    for round in 1..=ROUNDS {
        if team.is_first() {
            *GATE.lock() = round;
            OPENED.notify_all();
        } else {
            assert_eq!(*OPENED.wait_while(GATE.lock(), |gate| *gate < round), round);
        }
        team.meet();
    }
}
