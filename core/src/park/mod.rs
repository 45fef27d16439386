//! The seam: how a blocking call sleeps.
//!
//! Every blocking operation of this crate is one state machine that is polled with a [`Waker`]: try; put a wait node in
//! the queue; look again; sleep; when woken, look who finished the node, or withdraw it. What "sleep" means is decided
//! here and nowhere else:
//!
//! ```text
//!   send, recv, lock, wait, select …            the operation: poll(&Waker) -> Poll<()>
//!              │
//!         park::wait(why, deadline, poll)       this module
//!              │
//!     ┌────────┴──────────┬───────────────────┐
//!   hooks installed     feature `std`       neither
//!   by a runtime        park the thread     poll and spin
//! ```
//!
//! A runtime calls [`install`] once. From then on each wait of each thread of the process comes to its
//! [`Hooks::wait`], which parks the green thread if it is on one, and falls back to [`thread::wait`] if not.
//!
//! Clocks stand behind the same seam, so that time can be virtual.

use crate::turn::Turn;
use core::{
    fmt,
    panic::Location,
    sync::atomic::{AtomicPtr, Ordering::*},
    task::{Poll, Waker},
};

#[cfg(all(feature = "std", not(loom)))]
pub mod thread;

/// What a sleeping task waits for: written at the park, read by dumps and deadlock reports.
#[derive(Clone, Copy, Debug)]
pub struct Why {
    /// The operation, as a report says it: "receive from a channel".
    pub what: &'static str,
    /// The address of what it waits on, to tell one channel from another; 0 if there is none.
    pub object: usize,
    /// The line of the program that called the operation.
    pub site: &'static Location<'static>,
}

impl Why {
    pub(crate) fn new<T: ?Sized>(what: &'static str, object: &T, site: &'static Location<'static>) -> Self {
        Self { what, object: core::ptr::from_ref(object).cast::<()>().addr(), site }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if self.object != 0 {
            write!(f, " {:#x}", self.object)?;
        }
        write!(f, " at {}", self.site)
    }
}

/// A point in time: nanoseconds on the clock of [`now`], whose zero means nothing.
pub type Tick = u64;

/// The deadline passed before the wait was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

/// The question that a sleeper asks again after each wake-up. It keeps a clone of the waker whenever it says `Pending`. It must
/// not wait itself: it may be asked while the sleeper is half asleep.
pub type PollFn<'a> = dyn FnMut(&Waker) -> Poll<()> + 'a;

/// What a runtime plugs in.
pub struct Hooks {
    /// Polls until `Ready`, and sleeps between the polls until the waker that it handed in is woken. `Err` once the
    /// deadline has passed and the poll after that still said `Pending`.
    ///
    /// The contract that [`install`] promises: `Ok` only after a poll said `Ready`; `Err` only with a deadline that has
    /// passed. The same waker at each poll of one wait, never polled again after `Ready`. It returns on the thread that
    /// called it, and does not unwind. It may poll more often than it is woken.
    pub wait: fn(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut>,
    /// The clock that deadlines are read against; it never goes back.
    pub now: fn() -> Tick,
    /// Any number, for fair choices: no promise of quality.
    pub random: fn() -> u32,
}

/// | operation | order   | pairs with | so that                          |
/// |-----------|---------|------------|----------------------------------|
/// | install   | Release | look up    | the hooks' own statics are ready |
/// | look up,  | Acquire | install    | the same                         |
/// | refused   |         |            |                                  |
///
/// Argued, since a static outlives a model: an address is published once by one store and read by others, who read through it.
static HOOKS: AtomicPtr<Hooks> = AtomicPtr::new(core::ptr::null_mut());

/// Hooks are in place already, and stay: sleepers may be inside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyInstalled;

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another runtime has installed its park hooks; a process has one set of them")
    }
}

impl core::error::Error for AlreadyInstalled {}

/// Makes `hooks` the way in which every blocking call of this process sleeps.
///
/// # Errors
///
/// If other hooks were installed before. Installing the same ones again is fine.
///
/// # Safety
///
/// [`Hooks::wait`] keeps its contract: the locks give out their guards, and the channels take their nodes off the caller's
/// stack, on the strength of its answer alone.
pub unsafe fn install(hooks: &'static Hooks) -> Result<(), AlreadyInstalled> {
    let new = core::ptr::from_ref(hooks).cast_mut();
    match HOOKS.compare_exchange(core::ptr::null_mut(), new, Release, Acquire) {
        Ok(_) => Ok(()),
        Err(there) if there == new => Ok(()),
        Err(_) => Err(AlreadyInstalled),
    }
}

fn hooks() -> Option<&'static Hooks> {
    // SAFETY: null, or a `&'static Hooks` by `install`.
    unsafe { HOOKS.load(Acquire).as_ref() }
}

/// Sleeps until `poll` says `Ready`, in the way of whoever is calling: a green thread, an OS thread, bare metal.
///
/// # Errors
///
/// [`TimedOut`] once `deadline` has passed. The operation may have been finished at the last moment all the same: the
/// caller withdraws its node and looks.
pub fn wait(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    match hooks() {
        Some(hooks) => (hooks.wait)(why, deadline, poll),
        None => default_wait(deadline, poll),
    }
}

/// Waits for the peer that has claimed `turn` and promised to finish it. In pieces where there is a clock: the waker that
/// the peer has may be that of an earlier wait.
pub(crate) fn wait_while_claimed(turn: &Turn) {
    #[cold]
    #[track_caller]
    fn sleep(turn: &Turn) {
        let why = Why::new("a select that was chosen to send on a channel", turn, Location::caller());
        let deadline = has_clock().then(|| now() + 1_000_000);
        let _ = wait(&why, deadline, &mut |_| if turn.is_claimed() { Poll::Pending } else { Poll::Ready(()) });
    }
    while turn.is_claimed() {
        if cfg!(loom) {
            crate::sync::spin(&mut 0); // no clock there, so a piece would have no end
        } else {
            sleep(turn);
        }
    }
}

/// The time on the seam's clock.
///
/// # Panics
///
/// If there is no clock: without feature `std`, until [`install`] brings one.
pub fn now() -> Tick {
    match hooks() {
        Some(hooks) => (hooks.now)(),
        None => default_now(),
    }
}

/// Whether [`now`] has a clock to read.
pub(crate) fn has_clock() -> bool {
    hooks().is_some() || cfg!(all(feature = "std", not(loom)))
}

/// The tick that lies `limit` from now, or none if the clock cannot reach it: then the wait has no end.
pub fn deadline_after(limit: core::time::Duration) -> Option<Tick> {
    now().checked_add(u64::try_from(limit.as_nanos()).ok()?)
}

/// Any number, for fair choices. A model must not roll dice: there it is always the same.
pub(crate) fn random() -> u32 {
    if cfg!(loom) {
        return 0;
    }
    match hooks() {
        Some(hooks) => (hooks.random)(),
        None => default_random(),
    }
}

/// A Weyl sequence: the increment is odd, so the state runs through all numbers.
fn weyl_step(state: u32) -> u32 {
    state.wrapping_add(0x9E37_79B9)
}

/// Spreads the bits of a counter: neighbours come out unrelated.
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

pub(crate) fn default_random() -> u32 {
    use core::sync::atomic::AtomicU32;
    // Two threads that read the same state draw the same number once: harmless, and cheaper than an atomic addition.
    static STATE: AtomicU32 = AtomicU32::new(1);
    let next = weyl_step(STATE.load(Relaxed));
    STATE.store(next, Relaxed);
    mix(next)
}

#[cfg(loom)]
fn default_wait(_: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    loom::future::block_on(core::future::poll_fn(|cx| poll(cx.waker())));
    Ok(())
}

#[cfg(all(feature = "std", not(loom)))]
fn default_wait(deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    thread::wait(deadline, poll, || false)
}

#[cfg(all(not(feature = "std"), not(loom)))]
fn default_wait(deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    loop {
        if poll(Waker::noop()).is_ready() {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| now() >= deadline) {
            return Err(TimedOut);
        }
        core::hint::spin_loop();
    }
}

#[cfg(all(feature = "std", not(loom)))]
fn default_now() -> Tick {
    thread::now()
}

#[cfg(any(not(feature = "std"), loom))]
fn default_now() -> Tick {
    panic!("no clock: enable feature `std` or install hooks that bring one (greenlight_core::park::install)")
}

/// A waiting thread parked by the default, one woken late, and one that runs out of time.
#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use core::time::Duration;

    fn why() -> Why {
        Why { what: "test", object: 0, site: Location::caller() }
    }

    #[test]
    fn a_wake_from_another_thread_ends_the_wait() {
        let (tx, rx) = std::sync::mpsc::channel::<Waker>();
        let flag = std::sync::Arc::new(core::sync::atomic::AtomicBool::new(false));
        let waking = {
            let flag = flag.clone();
            std::thread::spawn(move || {
                let waker = rx.recv().unwrap();
                flag.store(true, Release);
                waker.wake();
            })
        };
        let mut sent = false;
        let outcome = wait(&why(), None, &mut |waker| {
            if !sent {
                sent = true;
                tx.send(waker.clone()).unwrap();
            }
            if flag.load(Acquire) { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(outcome, Ok(()));
        waking.join().unwrap();
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let before = now();
        let outcome = wait(&why(), deadline_after(Duration::from_millis(5)), &mut |_| Poll::Pending);
        assert_eq!(outcome, Err(TimedOut));
        assert!(now() - before >= 5_000_000);
    }

    #[test]
    fn a_limit_beyond_the_clock_is_no_deadline() {
        assert_eq!(deadline_after(Duration::MAX), None);
    }

    #[test]
    fn random_numbers_differ() {
        let drawn: std::collections::HashSet<u32> = (0..1000).map(|_| random()).collect();
        assert!(drawn.len() > 900, "{}", drawn.len());
    }
}
