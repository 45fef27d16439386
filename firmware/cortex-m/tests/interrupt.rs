//! Main and a SysTick handler work on the same object, kind by kind: nothing is lost, nothing comes out of order, nobody
//! waits for ever; and the handler has cut into every operation.
//!
//! The ticks come as fast as main still gets anywhere: the handler sets the next one when it is done, a little earlier if main
//! has finished an operation since the last, a little later if not, and some cycles more or less. So an operation is cut about
//! twice, at ever other instructions. Faster it cannot be: what the handler does makes main try again, for ever.
//!
//! To add a primitive: write its function, which gives what main does, what the handler does and what must be true at the end,
//! and put it in `CASES`.
#![no_std]
#![no_main]

use core::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicPtr, Ordering::SeqCst, compiler_fence},
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};
use cortex_m_firmware::{Count, Frame, entry, note_struck, pass, println, set_tick, stop_ticks, struck};
use greenlight_core::{
    Barrier, Condvar, CriticalMutex, Lazy, Mutex, Notify, Once, OnceCell, Semaphore, SpinMutex, TicketMutex,
    TryAcquireError, TrySetError, WaitGroup,
    channel::{StaticChannel, TryRecvError, TrySendError},
    select,
};

/// In the order in which they run. Of the last three, as of `Watch`, each call takes a spin lock, and so does dropping a guard of an
/// `RwLock` for which somebody waits. A handler must not wait for that: there main works alone, and the handler cuts in by a
/// channel on which main waits at the same time.
const CASES: &[fn() -> Case] = &[
    try_calls,
    blocking_calls,
    futures,
    selects,
    closing,
    wait_group,
    spin_mutex,
    ticket_mutex,
    critical_mutex,
    mutex,
    once,
    semaphore,
    notify,
    barrier,
    condvar,
];

/// How many values go each way where only that counts.
const MANY: u32 = if cfg!(target_has_atomic = "ptr") { 30_000 } else { 10_000 };
const SOME: u32 = MANY / 8;

struct Case {
    name: &'static str,
    /// What main does; in the order of their numbers.
    operations: &'static [&'static str],
    /// A round of main. True if it was the last.
    main: fn() -> bool,
    /// What the handler does in each tick.
    tick: fn(),
    /// Afterwards, without ticks.
    check: fn(),
}

/// How often the handler cut into each operation of this case; the last is for what is between them.
static CUTS: [Count; 9] = [const { Count::new() }; 9];
const BETWEEN: usize = CUTS.len() - 1;
static DOING: Count = Count::new();
/// Goes up whenever main has got on.
static PROGRESS: Count = Count::new();
static TICKS: Count = Count::new();

/// Main does operation `number`.
#[inline(always)]
fn operation<R>(number: usize, operation: impl FnOnce() -> R) -> R {
    DOING.set(number as u32);
    compiler_fence(SeqCst);
    let result = operation();
    compiler_fence(SeqCst);
    DOING.set(BETWEEN as u32);
    PROGRESS.bump();
    result
}

/// A Weyl sequence, for the handler alone.
fn random() -> u32 {
    static STATE: Count = Count::new();
    STATE.set(STATE.get().wrapping_add(0x9E37_79B9));
    let x = STATE.get();
    (x ^ x >> 15).wrapping_mul(0x846C_A68B) >> 8
}

static CURRENT: Count = Count::new();

#[unsafe(no_mangle)]
extern "C" fn on_tick(frame: &Frame) {
    static GAP: Count = Count::new();
    static SEEN: Count = Count::new();

    note_struck(frame);
    TICKS.bump();
    CUTS[DOING.get() as usize].bump();
    (CASES[CURRENT.get() as usize]().tick)();

    if PROGRESS.get() == SEEN.get() {
        GAP.set((GAP.get() + 1).min(1000));
    } else {
        SEEN.set(PROGRESS.get());
        GAP.set(GAP.get().saturating_sub(1));
    }
    set_tick(4 + GAP.get() + random() % 64);
}

#[entry]
fn main() -> ! {
    for (number, case) in CASES.iter().enumerate() {
        let case = case();
        CUTS.iter().for_each(|cuts| cuts.set(0));
        DOING.set(BETWEEN as u32);
        CURRENT.set(number as u32);
        TICKS.set(0);
        set_tick(100);
        while !(case.main)() {}
        stop_ticks();
        // One more may be pending: it runs here, before what it could disturb is looked at.
        cortex_m::asm::isb();
        stop_ticks();
        (case.check)();
        for (name, cuts) in case.operations.iter().zip(&CUTS) {
            println!("  {:<32} cut {:>6} times", name, cuts.get());
        }
        for (name, cuts) in case.operations.iter().zip(&CUTS) {
            assert!(cuts.get() > 0, "{}: the handler never cut into {name}", case.name);
        }
        println!("test {} ... ok ({} ticks)", case.name, TICKS.get());
    }
    println!("{} different instructions were struck", struck());
    pass()
}

/// The numbers that one sender sends to one receiver.
struct Sequence {
    /// Written by the sender alone.
    sent: Count,
    /// Written by the receiver alone.
    received: Count,
}

/// The top bit of a value from the handler.
const HANDLER: u32 = 1 << 31;

impl Sequence {
    const fn new() -> Self {
        Self { sent: Count::new(), received: Count::new() }
    }

    /// Sends the next number, if `send` can.
    fn send<E>(&self, send: impl FnOnce(u32) -> Result<(), E>) -> bool {
        let sent = send(self.sent.get()).is_ok();
        if sent {
            self.sent.bump();
        }
        sent
    }

    #[track_caller]
    fn received(&self, number: u32) {
        assert_eq!(number, self.received.bump(), "lost, doubled or out of order");
    }

    #[track_caller]
    fn settle(&self) -> u32 {
        assert_eq!(self.received.get(), self.sent.get(), "what was sent has not all come");
        self.sent.get()
    }
}

/// For a channel that both send to.
#[track_caller]
fn received_from(main: &Sequence, handler: &Sequence, value: u32) {
    if value & HANDLER == 0 { main.received(value) } else { handler.received(value & !HANDLER) }
}

#[cfg(not(feature = "broken"))]
type Queue = StaticChannel<u32, 8>;
#[cfg(feature = "broken")]
type Queue = broken::Queue;

fn try_calls() -> Case {
    /// Both send, main receives.
    static UP: Queue = Queue::new();
    /// Both receive, main sends: what each gets is in order, and together they get all.
    static DOWN: Queue = Queue::new();
    static MAIN_UP: Sequence = Sequence::new();
    static HANDLER_UP: Sequence = Sequence::new();
    static DOWN_SENT: Count = Count::new();
    static DOWN_SUM: Count = Count::new();
    static TO_MAIN: Count = Count::new();
    static TO_MAIN_SUM: Count = Count::new();
    static TO_HANDLER: Count = Count::new();
    static TO_HANDLER_SUM: Count = Count::new();

    /// A number that came down: none may be smaller than the last one that the same receiver got.
    fn came_down(number: u32, how_many: &Count, sum: &Count, last: &Count) {
        assert!(number >= last.get(), "out of order: {number} after {}", last.get());
        last.set(number + 1);
        how_many.bump();
        sum.set(sum.get().wrapping_add(number));
    }
    static LAST_TO_MAIN: Count = Count::new();
    static LAST_TO_HANDLER: Count = Count::new();

    Case {
        name: "try_calls",
        operations: &["try_send", "try_recv", "try_send of another", "try_recv of another"],
        main: || {
            MAIN_UP.send(|number| operation(0, || UP.sender().try_send(number)));
            if let Ok(value) = operation(1, || UP.receiver().try_recv()) {
                received_from(&MAIN_UP, &HANDLER_UP, value);
            }
            let number = DOWN_SENT.get();
            if operation(2, || DOWN.sender().try_send(number)).is_ok() {
                DOWN_SENT.bump();
                DOWN_SUM.set(DOWN_SUM.get().wrapping_add(number));
            }
            // Seldom: most are for the handler.
            if number.is_multiple_of(8)
                && let Ok(number) = operation(3, || DOWN.receiver().try_recv())
            {
                came_down(number, &TO_MAIN, &TO_MAIN_SUM, &LAST_TO_MAIN);
            }
            HANDLER_UP.received.get() >= MANY && TO_HANDLER.get() >= MANY
        },
        tick: || {
            // As fast as main takes them; it has more to do.
            if random().is_multiple_of(8) {
                HANDLER_UP.send(|number| UP.sender().try_send(number | HANDLER));
            }
            if let Ok(number) = DOWN.receiver().try_recv() {
                came_down(number, &TO_HANDLER, &TO_HANDLER_SUM, &LAST_TO_HANDLER);
            }
        },
        check: || {
            while let Ok(value) = UP.receiver().try_recv() {
                received_from(&MAIN_UP, &HANDLER_UP, value);
            }
            while let Ok(number) = DOWN.receiver().try_recv() {
                came_down(number, &TO_MAIN, &TO_MAIN_SUM, &LAST_TO_MAIN);
            }
            let (main, handler) = (MAIN_UP.settle(), HANDLER_UP.settle());
            assert_eq!(TO_MAIN.get() + TO_HANDLER.get(), DOWN_SENT.get());
            assert_eq!(TO_MAIN_SUM.get().wrapping_add(TO_HANDLER_SUM.get()), DOWN_SUM.get());
            println!("  {handler} values from the handler, {main} from main, {} to the handler", TO_HANDLER.get());
        },
    }
}

/// Main waits, in `send` while the channel is full and in `recv` while it is empty; the handler ends each wait.
fn blocking_calls() -> Case {
    static UP: StaticChannel<u32, 1> = StaticChannel::new();
    static DOWN: StaticChannel<u32, 1> = StaticChannel::new();
    static TO_MAIN: Sequence = Sequence::new();
    static TO_HANDLER: Sequence = Sequence::new();
    Case {
        name: "blocking_calls",
        operations: &["send, waiting", "recv, waiting"],
        main: || {
            for _ in 0..2 {
                TO_HANDLER.send(|number| operation(0, || DOWN.sender().send(number)));
            }
            for _ in 0..2 {
                TO_MAIN.received(operation(1, || UP.receiver().recv()).unwrap());
            }
            TO_MAIN.received.get() >= MANY
        },
        tick: || {
            if random().is_multiple_of(2) {
                TO_MAIN.send(|number| UP.sender().try_send(number));
            } else if let Ok(number) = DOWN.receiver().try_recv() {
                TO_HANDLER.received(number);
            }
        },
        check: || {
            UP.receiver().try_iter().for_each(|number| TO_MAIN.received(number));
            DOWN.receiver().try_iter().for_each(|number| TO_HANDLER.received(number));
            println!("  {} values up, {} down", TO_MAIN.settle(), TO_HANDLER.settle());
        },
    }
}

static WOKEN: Count = Count::new();

/// A waker that the handler may call: it says so in `WOKEN`.
fn flag_waker() -> Waker {
    static FLAG: RawWakerVTable =
        RawWakerVTable::new(|_| RawWaker::new(core::ptr::null(), &FLAG), |_| WOKEN.set(1), |_| WOKEN.set(1), |_| ());
    // SAFETY: the functions keep nothing, and set an atomic.
    unsafe { Waker::from_raw(RawWaker::new(core::ptr::null(), &FLAG)) }
}

/// Main polls a future, then not again before its waker was called: a wake-up that is lost is a hang. Some are given up.
fn futures() -> Case {
    static UP: StaticChannel<u32, 1> = StaticChannel::new();
    static TO_MAIN: Sequence = Sequence::new();
    static PENDING: Count = Count::new();
    Case {
        name: "futures",
        operations: &["poll of a receive", "drop of a pending receive"],
        main: || {
            let (waker, receiver) = (flag_waker(), UP.receiver());
            let mut next = pin!(Some(receiver.recv_async()));
            loop {
                WOKEN.set(0);
                let Some(future) = next.as_mut().as_pin_mut() else { break };
                match operation(0, || future.poll(&mut Context::from_waker(&waker))) {
                    Poll::Ready(number) => {
                        TO_MAIN.received(number.unwrap());
                        break;
                    }
                    Poll::Pending if PENDING.bump().is_multiple_of(8) => operation(1, || next.set(None)),
                    Poll::Pending => {
                        // To wait is to get on: the ticks need not come more slowly.
                        while WOKEN.get() == 0 {
                            PROGRESS.bump();
                        }
                    }
                }
            }
            TO_MAIN.received.get() >= SOME && PENDING.get() >= SOME
        },
        tick: || {
            if random().is_multiple_of(4) {
                TO_MAIN.send(|number| UP.sender().try_send(number));
            }
        },
        check: || {
            UP.receiver().try_iter().for_each(|number| TO_MAIN.received(number));
            let (received, pending) = (TO_MAIN.settle(), PENDING.get());
            println!("  {received} received, {pending} times pending, given up each 8th time");
        },
    }
}

/// A select that looks once, and one that waits, over two channels from the handler and one to it.
fn selects() -> Case {
    static LEFT: StaticChannel<u32, 1> = StaticChannel::new();
    static RIGHT: StaticChannel<u32, 2> = StaticChannel::new();
    static DOWN: StaticChannel<u32, 1> = StaticChannel::new();
    static FROM_LEFT: Sequence = Sequence::new();
    static FROM_RIGHT: Sequence = Sequence::new();
    static TO_HANDLER: Sequence = Sequence::new();
    static NOTHING: Count = Count::new();
    Case {
        name: "selects",
        operations: &["select with default", "select, waiting"],
        main: || {
            let (left, right, down) = (LEFT.receiver(), RIGHT.receiver(), DOWN.sender());
            // What was chosen is noted inside the operation: that it is cut there changes nothing.
            let looked = operation(0, || {
                select! {
                    recv(left) -> number => FROM_LEFT.received(number.unwrap()),
                    recv(right) -> number => FROM_RIGHT.received(number.unwrap()),
                    send(down, TO_HANDLER.sent.get()) -> sent => { sent.unwrap(); TO_HANDLER.sent.bump(); },
                    default => return false,
                }
                true
            });
            if !looked {
                NOTHING.bump();
                operation(1, || {
                    select! {
                        recv(left) -> number => FROM_LEFT.received(number.unwrap()),
                        recv(right) -> number => FROM_RIGHT.received(number.unwrap()),
                        send(down, TO_HANDLER.sent.get()) -> sent => { sent.unwrap(); TO_HANDLER.sent.bump(); },
                    }
                });
            }
            [&FROM_LEFT, &FROM_RIGHT, &TO_HANDLER].iter().all(|numbers| numbers.received.get() >= SOME)
        },
        tick: || match random() % 6 {
            0 => _ = FROM_LEFT.send(|number| LEFT.sender().try_send(number)),
            1 => _ = FROM_RIGHT.send(|number| RIGHT.sender().try_send(number)),
            2 => _ = DOWN.receiver().try_recv().map(|number| TO_HANDLER.received(number)),
            _ => {}
        },
        check: || {
            LEFT.receiver().try_iter().for_each(|number| FROM_LEFT.received(number));
            RIGHT.receiver().try_iter().for_each(|number| FROM_RIGHT.received(number));
            DOWN.receiver().try_iter().for_each(|number| TO_HANDLER.received(number));
            let (left, right, down) = (FROM_LEFT.settle(), FROM_RIGHT.settle(), TO_HANDLER.settle());
            println!("  {left} left, {right} right, {down} down, {} times nothing at first", NOTHING.get());
        },
    }
}

/// Either closes while both send; each channel is closed once, by one of them.
fn closing() -> Case {
    /// The channel of this round, on main's stack.
    static HERE: AtomicPtr<StaticChannel<u32, 2>> = AtomicPtr::new(core::ptr::null_mut());
    static ROUNDS: Count = Count::new();
    static MAIN: Sequence = Sequence::new();
    static HANDLER: Sequence = Sequence::new();
    static BY_MAIN: Count = Count::new();
    static BY_HANDLER: Count = Count::new();
    Case {
        name: "closing",
        operations: &["close", "try_send while it is closed", "try_recv while it is closed"],
        main: || {
            let channel = StaticChannel::new();
            let (sender, receiver) = (channel.sender(), channel.receiver());
            HERE.store((&raw const channel).cast_mut(), SeqCst);
            for turn in 0.. {
                let number = MAIN.sent.get();
                match operation(1, || sender.try_send(number)) {
                    Ok(()) => _ = MAIN.sent.bump(),
                    Err(TrySendError::Full(_)) => {}
                    Err(TrySendError::Disconnected(_)) => break,
                }
                if turn == ROUNDS.get() % 4 && operation(0, || sender.close()) {
                    BY_MAIN.bump();
                }
                if let Ok(value) = operation(2, || receiver.try_recv()) {
                    received_from(&MAIN, &HANDLER, value);
                }
            }
            // From here on nothing comes in.
            while let Ok(value) = receiver.try_recv() {
                received_from(&MAIN, &HANDLER, value);
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            MAIN.settle();
            HANDLER.settle();
            HERE.store(core::ptr::null_mut(), SeqCst);
            assert!(sender.is_closed() && !sender.close());
            ROUNDS.bump();
            assert_eq!(BY_MAIN.get() + BY_HANDLER.get(), ROUNDS.get(), "closed by both, or by none");
            ROUNDS.get() >= SOME
        },
        tick: || {
            // SAFETY: main takes the address away before the channel ends, and does nothing while the handler runs.
            let Some(channel) = (unsafe { HERE.load(SeqCst).as_ref() }) else { return };
            HANDLER.send(|number| channel.sender().try_send(number | self::HANDLER));
            if random().is_multiple_of(8) && channel.sender().close() {
                BY_HANDLER.bump();
            }
        },
        check: || {
            println!("  closed {} times by main, {} times by the handler", BY_MAIN.get(), BY_HANDLER.get());
            assert!(BY_MAIN.get() > 0 && BY_HANDLER.get() > 0);
        },
    }
}

/// The handler does a part. Main asks for the count: a `wait` stands in line under a lock, for which a handler must not wait.
fn wait_group() -> Case {
    static GROUP: WaitGroup = WaitGroup::new();
    static OWED: Count = Count::new();
    static DONE: Count = Count::new();
    static ROUNDS: Count = Count::new();
    Case {
        name: "wait_group",
        operations: &["add", "done", "count"],
        main: || {
            for _ in 0..8 {
                operation(0, || GROUP.add(3));
                OWED.set(OWED.get() + 2);
                operation(1, || GROUP.done());
            }
            while operation(2, || GROUP.count()) > 0 {}
            assert_eq!(DONE.get(), OWED.get());
            ROUNDS.bump() >= SOME / 8
        },
        tick: || {
            if DONE.get() != OWED.get() {
                // Counted first: main may go on at the last one.
                DONE.bump();
                GROUP.done();
            }
        },
        check: || assert_eq!((GROUP.count(), DONE.get()), (0, 16 * ROUNDS.get())),
    }
}

/// How often the handler found a lock free, and taken.
struct Met {
    free: Count,
    taken: Count,
}

impl Met {
    const fn new() -> Self {
        Self { free: Count::new(), taken: Count::new() }
    }

    fn note(&self, free: bool) {
        if free {
            self.free.bump()
        } else {
            self.taken.bump()
        };
    }

    fn enough(&self) -> bool {
        self.free.get() >= SOME && self.taken.get() >= SOME
    }
}

/// A pair whose halves are equal whenever nobody has it.
type Pair = (u32, u32);

fn both(pair: &mut Pair) {
    assert_eq!(pair.0, pair.1, "somebody else is at it");
    pair.0 += 1;
    compiler_fence(SeqCst);
    pair.1 += 1;
}

/// Main locks, the handler tries to: it finds the lock free, or taken by what it cut into.
macro_rules! lock_case {
    ($name:ident, $Lock:ident) => {
        fn $name() -> Case {
            static LOCK: $Lock<Pair> = $Lock::new((0, 0));
            static MET: Met = Met::new();
            static DONE: Count = Count::new();
            Case {
                name: stringify!($name),
                operations: &["lock, work, unlock", "try_lock, work, unlock"],
                main: || {
                    operation(0, || both(&mut LOCK.lock()));
                    DONE.bump();
                    let handlers = MET.free.get();
                    if operation(1, || LOCK.try_lock().map(|mut pair| both(&mut pair))).is_some() {
                        DONE.bump();
                    } else {
                        assert!(MET.free.get() > handlers, "the handler has not had it meanwhile");
                    }
                    MET.enough()
                },
                tick: || MET.note(LOCK.try_lock().map(|mut pair| both(&mut pair)).is_some()),
                check: || {
                    let all = DONE.get() + MET.free.get();
                    assert_eq!(*LOCK.lock(), (all, all));
                },
            }
        }
    };
}

lock_case!(spin_mutex, SpinMutex);
lock_case!(ticket_mutex, TicketMutex);
lock_case!(mutex, Mutex);

/// The handler always finds it free, and no tick ever comes while main is inside.
fn critical_mutex() -> Case {
    static LOCK: CriticalMutex<Pair> = CriticalMutex::new((0, 0));
    static OTHER: CriticalMutex<u32> = CriticalMutex::new(0);
    static INSIDE: Count = Count::new();
    static ROUNDS: Count = Count::new();
    static HANDLERS: Count = Count::new();
    Case {
        name: "critical_mutex",
        operations: &["with", "with, nested"],
        main: || {
            let work = |pair: &mut Pair| {
                INSIDE.set(1);
                both(pair);
                INSIDE.set(0);
            };
            operation(0, || LOCK.with(work));
            operation(1, || {
                OTHER.with(|other| {
                    LOCK.with(work);
                    // Still inside the outer one: the inner one has not let interrupts in.
                    INSIDE.set(1);
                    *other += 1;
                    assert!(OTHER.try_with(|_| ()).is_none());
                    INSIDE.set(0);
                })
            });
            ROUNDS.bump() >= SOME
        },
        tick: || {
            assert_eq!(INSIDE.get(), 0, "an interrupt came in");
            LOCK.try_with(both).expect("main has it");
            OTHER.with(|_| HANDLERS.bump());
        },
        check: || {
            let all = 2 * ROUNDS.get() + HANDLERS.get();
            assert_eq!(LOCK.with(|pair| *pair), (all, all));
            assert_eq!(OTHER.with(|other| *other), ROUNDS.get());
        },
    }
}

/// Main makes things, the handler looks: what it finds is whole. It makes none, which would take a spin lock.
fn once() -> Case {
    /// What is made in this round, on main's stack.
    struct Round {
        once: Once,
        ran: Count,
        cell: OnceCell<Pair>,
        lazy: Lazy<Pair>,
    }
    static HERE: AtomicPtr<Round> = AtomicPtr::new(core::ptr::null_mut());
    static ROUNDS: Count = Count::new();
    static FOUND: Count = Count::new();
    static NOT_YET: Count = Count::new();
    fn make() -> Pair {
        let mut pair = (ROUNDS.get(), ROUNDS.get());
        both(&mut pair);
        pair
    }
    Case {
        name: "once",
        operations: &["call_once", "try_call_once, done", "get_or_init", "try_set, full", "force of a lazy"],
        main: || {
            let round = Round { once: Once::new(), ran: Count::new(), cell: OnceCell::new(), lazy: Lazy::new(make) };
            HERE.store((&raw const round).cast_mut(), SeqCst);
            operation(0, || round.once.call_once(|| _ = round.ran.bump()));
            assert!(operation(1, || round.once.try_call_once(|| unreachable!("it is done"))));
            let made = *operation(2, || round.cell.get_or_init(make));
            assert_eq!(operation(3, || round.cell.try_set((0, 0))), Err(TrySetError::Full((0, 0))));
            assert_eq!(*operation(4, || Lazy::force(&round.lazy)), made);
            HERE.store(core::ptr::null_mut(), SeqCst);
            ROUNDS.bump();
            FOUND.get() >= SOME && NOT_YET.get() >= SOME
        },
        tick: || {
            // SAFETY: main takes the address away before the round ends, and does nothing while the handler runs.
            let Some(round) = (unsafe { HERE.load(SeqCst).as_ref() }) else { return };
            let made = (ROUNDS.get() + 1, ROUNDS.get() + 1);
            let done = round.once.is_completed();
            let values = [round.cell.get(), Lazy::get(&round.lazy)];
            assert!(!done || round.ran.get() == 1);
            assert!(values.iter().flatten().all(|value| **value == made));
            // In the order in which main makes them.
            let found = [done, values[0].is_some(), values[1].is_some()];
            assert!(found.is_sorted_by(|earlier, later| earlier >= later), "{found:?}");
            found.iter().for_each(|found| _ = if *found { FOUND.bump() } else { NOT_YET.bump() });
        },
        check: || println!("  found {} times, {} times not yet, {} rounds", FOUND.get(), NOT_YET.get(), ROUNDS.get()),
    }
}

/// The handler puts permits in, and takes some where it sees that there are enough; nobody ever waits, so neither takes a lock.
fn semaphore() -> Case {
    static PERMITS: Semaphore = Semaphore::new(0);
    static PUT_BY_MAIN: Count = Count::new();
    static PUT_BY_HANDLER: Count = Count::new();
    static TAKEN_BY_MAIN: Count = Count::new();
    static TAKEN_BY_HANDLER: Count = Count::new();
    Case {
        name: "semaphore",
        operations: &["try_acquire", "drop of a permit", "add_permits", "forget_permits", "try_acquire, too many"],
        main: || {
            for _ in 0..2 {
                if let Ok(permit) = operation(0, || PERMITS.try_acquire(1)) {
                    TAKEN_BY_MAIN.bump();
                    permit.forget();
                }
            }
            operation(2, || PERMITS.add_permits(1));
            PUT_BY_MAIN.bump();
            if let Ok(permit) = operation(0, || PERMITS.try_acquire(1)) {
                operation(1, || drop(permit));
            }
            if operation(3, || PERMITS.forget_permits(1)) == 1 {
                TAKEN_BY_MAIN.bump();
            }
            let too_many = operation(4, || PERMITS.try_acquire(Semaphore::MAX_PERMITS).map(drop));
            assert_eq!(too_many, Err(TryAcquireError::NoPermits));
            PUT_BY_HANDLER.get() >= SOME && TAKEN_BY_HANDLER.get() >= SOME
        },
        tick: || {
            if random().is_multiple_of(2) {
                PERMITS.add_permits(1);
                PUT_BY_HANDLER.bump();
            } else if PERMITS.available_permits() > 0 {
                let permit = PERMITS.try_acquire(1).expect("nothing else runs");
                if random().is_multiple_of(2) {
                    TAKEN_BY_HANDLER.bump();
                    permit.forget();
                }
            }
        },
        check: || {
            let (by_main, by_handler) = (PUT_BY_MAIN.get(), PUT_BY_HANDLER.get());
            let taken = TAKEN_BY_MAIN.get() + TAKEN_BY_HANDLER.get();
            assert_eq!(PERMITS.available_permits() as u32, by_main + by_handler - taken);
            println!("  {by_main} put in by main, {by_handler} by the handler; {taken} taken");
        },
    }
}

/// Numbers from the handler, for the cases in which main works alone.
struct News {
    channel: StaticChannel<u32, 2>,
    numbers: Sequence,
}

impl News {
    const fn new() -> Self {
        Self { channel: StaticChannel::new(), numbers: Sequence::new() }
    }

    fn tick(&self) {
        if random().is_multiple_of(4) {
            self.numbers.send(|number| self.channel.sender().try_send(number));
        }
    }

    /// Main waits for one, and for `other` at the same time. `None` if that came first.
    fn wait(&self, other: impl Future) -> Option<u32> {
        let receiver = self.channel.receiver();
        let number = select! {
            recv(receiver) -> number => Some(number.unwrap()),
            wait(other) -> _ => None,
        };
        number.inspect(|&number| self.numbers.received(number))
    }

    fn enough(&self) -> bool {
        self.numbers.received.get() >= SOME
    }

    fn check(&self) {
        self.channel.receiver().try_iter().for_each(|number| self.numbers.received(number));
        println!("  {} numbers from the handler", self.numbers.settle());
    }
}

/// Polls with a waker that says so in `WOKEN`.
fn poll<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&flag_waker()))
}

fn notify() -> Case {
    static NEWS: News = News::new();
    static NOTIFY: Notify = Notify::new();
    Case {
        name: "notify",
        operations: &[
            "notify_one",
            "try_wait",
            "select of a wait and a channel",
            "poll of a wait",
            "notify_waiters",
            "drop of a pending wait",
        ],
        main: || {
            // One of two is kept, for one who waits: and not lost if the handler's number is quicker.
            operation(0, || NOTIFY.notify_one());
            operation(0, || NOTIFY.notify_one());
            let number = operation(2, || NEWS.wait(NOTIFY.notified()));
            assert_eq!(operation(1, || NOTIFY.try_wait()), number.is_some());
            let number = operation(2, || NEWS.wait(NOTIFY.notified())).expect("nobody notifies");

            let mut wait = pin!(Some(NOTIFY.notified()));
            WOKEN.set(0);
            assert!(operation(3, || poll(wait.as_mut().as_pin_mut().unwrap())).is_pending());
            match number % 3 {
                0 => operation(0, || NOTIFY.notify_one()),
                1 => operation(4, || NOTIFY.notify_waiters()),
                _ => operation(5, || wait.set(None)),
            }
            if let Some(wait) = wait.as_mut().as_pin_mut() {
                assert_eq!(WOKEN.get(), 1);
                assert!(operation(3, || poll(wait)).is_ready());
            }
            assert!(!operation(1, || NOTIFY.try_wait()));
            NEWS.enough()
        },
        tick: || NEWS.tick(),
        check: || NEWS.check(),
    }
}

fn barrier() -> Case {
    static NEWS: News = News::new();
    static BARRIER: Barrier = Barrier::new(2);
    Case {
        name: "barrier",
        operations: &["select of a wait and a channel", "poll of a wait", "try_wait", "drop of a pending wait"],
        main: || {
            let number = operation(0, || NEWS.wait(BARRIER.wait_async())).expect("nobody else is there");
            let mut wait = pin!(Some(BARRIER.wait_async()));
            assert!(operation(2, || BARRIER.try_wait()).is_none());
            WOKEN.set(0);
            assert!(operation(1, || poll(wait.as_mut().as_pin_mut().unwrap())).is_pending());
            if number.is_multiple_of(4) {
                operation(3, || wait.set(None));
                assert!(operation(2, || BARRIER.try_wait()).is_none());
            }
            if let Some(wait) = wait.as_mut().as_pin_mut() {
                assert!(operation(2, || BARRIER.try_wait()).is_some_and(|result| result.is_leader()));
                assert_eq!(WOKEN.get(), 1);
                assert!(matches!(operation(1, || poll(wait)), Poll::Ready(result) if !result.is_leader()));
            }
            NEWS.enough()
        },
        tick: || NEWS.tick(),
        check: || NEWS.check(),
    }
}

/// The mutex is the handler's as well: by `try_lock`, as above.
fn condvar() -> Case {
    static NEWS: News = News::new();
    static PAIR: Mutex<Pair> = Mutex::new((0, 0));
    static CHANGED: Condvar = Condvar::new();
    static ROUNDS: Count = Count::new();
    static BY_HANDLER: Count = Count::new();
    Case {
        name: "condvar",
        operations: &[
            "select of a wait and a channel",
            "poll of a wait",
            "notify_one",
            "notify_all",
            "drop of a pending wait",
        ],
        main: || {
            let number = operation(0, || NEWS.wait(CHANGED.wait_async(PAIR.lock()))).expect("nobody notifies");
            let mut wait = pin!(Some(CHANGED.wait_async(PAIR.lock())));
            WOKEN.set(0);
            assert!(operation(1, || poll(wait.as_mut().as_pin_mut().unwrap())).is_pending());
            both(&mut PAIR.lock());
            match number % 3 {
                0 => operation(2, || CHANGED.notify_one()),
                1 => operation(3, || CHANGED.notify_all()),
                _ => operation(4, || wait.set(None)),
            }
            if let Some(wait) = wait.as_mut().as_pin_mut() {
                assert_eq!(WOKEN.get(), 1);
                let Poll::Ready(mut pair) = operation(1, || poll(wait)) else {
                    panic!("notified, and the mutex is free")
                };
                both(&mut pair);
                ROUNDS.bump();
            }
            ROUNDS.bump();
            NEWS.enough()
        },
        tick: || {
            NEWS.tick();
            if let Some(mut pair) = PAIR.try_lock() {
                both(&mut pair);
                BY_HANDLER.bump();
            }
        },
        check: || {
            let all = ROUNDS.get() + BY_HANDLER.get();
            assert_eq!(*PAIR.lock(), (all, all));
            NEWS.check();
        },
    }
}

/// A ring that looks right: indices are read, used, and written back, and nothing notices an interrupt in between.
#[cfg(feature = "broken")]
mod broken {
    use super::{Count, TryRecvError};

    pub struct Queue {
        head: Count,
        tail: Count,
        values: [Count; 8],
    }

    impl Queue {
        pub const fn new() -> Self {
            Self { head: Count::new(), tail: Count::new(), values: [const { Count::new() }; 8] }
        }

        pub fn sender(&self) -> &Self {
            self
        }

        pub fn receiver(&self) -> &Self {
            self
        }

        pub fn try_send(&self, value: u32) -> Result<(), u32> {
            let tail = self.tail.get();
            if tail - self.head.get() == 8 {
                return Err(value);
            }
            self.values[tail as usize % 8].set(value);
            self.tail.set(tail + 1);
            Ok(())
        }

        pub fn try_recv(&self) -> Result<u32, TryRecvError> {
            let head = self.head.get();
            if head == self.tail.get() {
                return Err(TryRecvError::Empty);
            }
            let value = self.values[head as usize % 8].get();
            self.head.set(head + 1);
            Ok(value)
        }
    }
}
