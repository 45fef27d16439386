//! How an author of a runtime plugs into greenlight-core, on bare metal: a cooperative scheduler for a Cortex-M in about a
//! hundred lines. Its tasks have stacks of their own. They block in `send`, `recv`, `lock`, `wait` or `select!` as a thread
//! would, and meanwhile the others run.
//!
//! ```text
//!   recv, lock, select! …                       a call of the core has to wait
//!        │
//!   park::wait(why, deadline, poll)             the seam: the core's one way to wait
//!        │
//!   Hooks::wait ──▶ poll(waker) ── Ready ─────────────────────────────▶ back into the call
//!        ▲              │ Pending
//!        │              ▼
//!        │          next ready task? ── none ──▶ sleep until an interrupt
//!        │              │ one
//!        │              ▼
//!        └─────── switch to it; whoever runs later switches back when our bit is set
//!                                                       ▲
//!                     a waker, of another task or of an interrupt handler: READY |= 1 << task
//! ```
//!
//! A runtime brings three things: how to wait (`wait`), a clock (`now`), and any numbers for fair choices (`random`). And a
//! waker, which here is no more than a task's number.
//!
//! * K1  One task runs at a time, and others only when it calls `switch`. Interrupt handlers touch `READY` and the clock, nothing
//!   else of this file.
//! * K2  `SAVED[n]` is where task `n` goes on, except for the running one.
#![no_std]
#![no_main]

use core::{
    arch::global_asm,
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::*},
    task::{RawWaker, RawWakerVTable, Waker},
};
use cortex_m_firmware::{Count, Frame, entry, pass, println, set_tick};
use greenlight_core::park::{self, Hooks, PollFn, TimedOut, Why};

// ---------------------------------------------------------------------------------------------------- the scheduler

const TASKS: usize = 4;

/// A bit for each task that has something to do.
static READY: AtomicU32 = AtomicU32::new(1);
static CURRENT: AtomicUsize = AtomicUsize::new(0);

/// What a task does, once it is spawned.
type Main = Option<fn()>;

/// What only the running task touches (K1).
struct Owned<T>(UnsafeCell<T>);
// SAFETY: K1.
unsafe impl<T> Sync for Owned<T> {}

#[repr(align(8))]
struct Stack(UnsafeCell<[u32; 512]>);
// SAFETY: a stack is its task's; `spawn` writes to it before there is one.
unsafe impl Sync for Stack {}

/// The stack of task 0 is the one that main came with. Nothing guards their ends: that takes an MPU.
static STACKS: [Stack; TASKS - 1] = [const { Stack(UnsafeCell::new([0; 512])) }; TASKS - 1];
static SAVED: [Owned<usize>; TASKS] = [const { Owned(UnsafeCell::new(0)) }; TASKS];
static MAINS: [Owned<Main>; TASKS] = [const { Owned(UnsafeCell::new(None)) }; TASKS];
static DEADLINES: [Owned<Option<u64>>; TASKS] = [const { Owned(UnsafeCell::new(None)) }; TASKS];

// Saves what a call must keep, leaves the stack at `*from`, goes on where `to` was left.
#[cfg(target_abi = "eabihf")]
global_asm!(
    ".fpu fpv4-sp-d16",
    ".global switch",
    ".type switch,%function",
    ".thumb_func",
    "switch: push {{r4-r11, lr}}",
    "vpush {{s16-s31}}",
    "str sp, [r0]",
    "mov sp, r1",
    "vpop {{s16-s31}}",
    "pop {{r4-r11, pc}}",
);
#[cfg(not(target_abi = "eabihf"))]
global_asm!(
    ".global switch",
    ".type switch,%function",
    ".thumb_func",
    "switch: push {{r4-r11, lr}}",
    "str sp, [r0]",
    "mov sp, r1",
    "pop {{r4-r11, pc}}",
);
/// The words that `switch` leaves on a stack. The last is the address to go on at.
const FRAME: usize = if cfg!(target_abi = "eabihf") { 16 + 9 } else { 9 };
unsafe extern "C" {
    fn switch(from: *mut usize, to: usize);
}

/// Makes task `number`, which will run `main`. Called by task 0, before it first waits.
fn spawn(number: usize, main: fn()) {
    // SAFETY: K1; and this task is not running yet.
    unsafe {
        *MAINS[number].0.get() = Some(main);
        let stack = &mut *STACKS[number - 1].0.get();
        let frame = stack.len() - FRAME; // once it is gone, the stack is empty, and aligned as it must be
        stack[frame + FRAME - 1] = begin as *const () as u32;
        *SAVED[number].0.get() = (&raw const stack[frame]).addr();
    }
    READY.fetch_or(1 << number, Release);
}

/// Where a new task begins.
extern "C" fn begin() -> ! {
    // SAFETY: K1; written by `spawn`.
    let main = unsafe { *MAINS[CURRENT.load(Relaxed)].0.get() };
    main.expect("spawned")();
    loop {
        run_others(); // nobody has a waker of this task any more
    }
}

/// Returns when the running task is ready, has passed its deadline, or finds that its bit was set all along.
fn run_others() {
    let me = CURRENT.load(Relaxed);
    let next = loop {
        // Round robin: after this one comes the next.
        // SAFETY: K1.
        let late = |task: usize| unsafe { *DEADLINES[task].0.get() }.is_some_and(|deadline| now() >= deadline);
        let ready = READY.load(Acquire);
        if let Some(task) =
            (me + 1..=me + TASKS).map(|task| task % TASKS).find(|&task| ready & 1 << task != 0 || late(task))
        {
            break task;
        }
        // Asleep with interrupts masked: one that comes after the look ends the sleep all the same, and then runs.
        cortex_m::interrupt::free(|_| {
            if READY.load(Acquire) == 0 {
                cortex_m::asm::wfi()
            }
        });
    };
    READY.fetch_and(!(1 << next), Acquire);
    if next != me {
        CURRENT.store(next, Relaxed);
        // SAFETY: K2: `next` was left by `switch`, or made by `spawn`; whoever switches back finds us at SAVED[me].
        unsafe { switch(SAVED[me].0.get(), *SAVED[next].0.get()) };
    }
}

/// The park hook. Before each poll the task's bit is down: a wake-up during the poll, or right after it, is not lost.
fn wait(_: &Why, deadline: Option<u64>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    let me = CURRENT.load(Relaxed);
    let waker = waker_of(me);
    loop {
        READY.fetch_and(!(1 << me), Acquire);
        if poll(&waker).is_ready() {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| now() >= deadline) {
            return Err(TimedOut);
        }
        // SAFETY: K1.
        unsafe { *DEADLINES[me].0.get() = deadline };
        run_others();
        // SAFETY: K1.
        unsafe { *DEADLINES[me].0.get() = None };
    }
}

/// Wakers count nothing: their data is the number of a task, and all tasks stay.
fn waker_of(task: usize) -> Waker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(|task| RawWaker::new(task, &TABLE), wake, wake, |_| ());
    fn wake(task: *const ()) {
        READY.fetch_or(1 << task.addr(), Release);
    }
    // SAFETY: the functions take any number, and set an atomic.
    unsafe { Waker::from_raw(RawWaker::new(core::ptr::without_provenance(task), &TABLE)) }
}

/// The clock hook: SysTick counts.
static MILLISECONDS: Count = Count::new();

fn now() -> u64 {
    u64::from(MILLISECONDS.get()) * 1_000_000
}

fn random() -> u32 {
    static STATE: AtomicU32 = AtomicU32::new(1);
    STATE.store(STATE.load(Relaxed).wrapping_mul(1_664_525).wrapping_add(1_013_904_223), Relaxed);
    STATE.load(Relaxed) >> 8
}

// SAFETY: `wait` says Ok only after a poll that said Ready, TimedOut only after the deadline and one more poll; one waker a wait;
// it returns to its caller, on the stack of the caller, and nothing unwinds here.
static HOOKS: Hooks = unsafe { Hooks::new().with_wait(wait) }.with_clock(now).with_random(random);

// ------------------------------------------------------------------------------------------- a program that runs on it

use core::time::Duration;
use greenlight_core::{
    Mutex, WaitGroup,
    channel::{RecvTimeoutError, StaticChannel},
    select,
};

const NUMBERS: u32 = 1000;
static CHANNEL: StaticChannel<u32, 1> = StaticChannel::new();
/// From the interrupt handler.
static TICKS: StaticChannel<u32, 4> = StaticChannel::new();
static NEVER: StaticChannel<u32, 1> = StaticChannel::new();
static TOTAL: Mutex<u32> = Mutex::new(0);
static GROUP: WaitGroup = WaitGroup::new();

#[unsafe(no_mangle)]
extern "C" fn on_tick(_: &Frame) {
    let tick = MILLISECONDS.bump();
    let _ = TICKS.sender().try_send(tick); // wakes the task that waits for it
    set_tick(CYCLES);
}

/// Of a millisecond, more or less.
const CYCLES: u32 = 20_000;

fn produce() {
    let _done = GROUP.done_on_drop();
    // The control leaves one out.
    let numbers = (1..=NUMBERS).map(|number| if cfg!(feature = "broken") && number == 500 { 0 } else { number });
    numbers.for_each(|number| CHANNEL.sender().send(number).unwrap());
}

fn consume() {
    let _done = GROUP.done_on_drop();
    let (numbers, ticks) = (CHANNEL.receiver(), TICKS.receiver());
    let (mut seen, mut ticked) = (0, 0);
    while seen < NUMBERS || ticked < 3 {
        select! {
            recv(numbers) -> number => {
                let mut total = TOTAL.lock();
                *total += number.unwrap();
                seen += 1;
            }
            recv(ticks) -> _ => ticked += 1,
        }
    }
}

fn wait_in_vain() {
    let _done = GROUP.done_on_drop();
    let before = now();
    assert_eq!(NEVER.receiver().recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
    assert!(now() - before >= 5_000_000);
}

#[entry]
fn main() -> ! {
    park::install(&HOOKS).expect("the first to install any");
    set_tick(CYCLES);
    GROUP.add(3);
    spawn(1, produce);
    spawn(2, consume);
    spawn(3, wait_in_vain);
    GROUP.wait();
    assert_eq!(*TOTAL.lock(), NUMBERS * (NUMBERS + 1) / 2);
    println!("test scheduler ... ok ({NUMBERS} numbers, {} ms)", MILLISECONDS.get());
    pass()
}
