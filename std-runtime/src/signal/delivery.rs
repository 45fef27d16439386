//! From a signal's handler to those who listen.
//!
//! ```text
//!   handler (any thread, between any two instructions):    HEARD?  ── yes ──▶ PENDING |= signal ─▶ ring
//!                                                            └─ no ──▶ what it would do without us
//!   a worker's poller ─▶ deliver: all of PENDING ─▶ each listener's `hear`
//! ```
//!
//! * S1  The handler loads and stores numbers, and makes a system call. All else happens at the other end of the bell.
//! * S2  A signal is pending before the bell rings for it, and whoever delivers looks at the bell before he takes what is pending.
//!   So none is forgotten; and each is taken once, by an exchange.
//! * S3  Our handler stays for ever (`handler.rs`). While nobody listens, it does what would have happened: nothing, if the signal was
//!   ignored or had a handler before, which is called in any case; else the default effect.
//! * S4  The waker lies in the bell if and only if there is a listener: both change under the lock. No code of the program's
//!   runs under it.

use super::{Signal, handler};
use crate::{header::discard, net::doorbell::Doorbell};
use signal_hook::low_level::emulate_default_handler;
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::*},
    },
    task::{Wake, Waker},
};

/// Sets of signals, a bit each.
///
/// | operation       | order   | pairs with | so that                                                                     |
/// |-----------------|---------|------------|-----------------------------------------------------------------------------|
/// | `HEARD` store   | Release | handler    | a handler that sees a listener sees the bell                                |
/// | `HEARD` load    | Acquire | store      | the same                                                                    |
/// | `PENDING`       | Relaxed | nothing    | the bit is all there is; a system call on either side of the bell orders it |
///
/// Argued: the bell lies in a lock of `std`'s, and is a descriptor; the model checker sees neither, nor what a handler interrupts.
static HEARD: AtomicU64 = AtomicU64::new(0);
static PENDING: AtomicU64 = AtomicU64::new(0);

/// Rung by handlers. Made with the first listener.
static BELL: OnceLock<Doorbell> = OnceLock::new();

static STATE: Mutex<State> = Mutex::new(State { listeners: Vec::new(), installed: 0, numbers: 0 });

struct State {
    listeners: Vec<Listener>,
    /// The signals that have our handler (S3).
    installed: u64,
    numbers: u64,
}

type Hear = dyn Fn(Signal) + Send + Sync;

struct Listener {
    number: u64,
    signals: u64,
    /// It is quick, and does not wait: it runs on the thread of a worker, between tasks.
    hear: Arc<Hear>,
}

fn state() -> MutexGuard<'static, State> {
    // Nothing in here panics with the lock held, but for want of memory.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody listens, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    number: u64,
}

/// Has `hear` called with each signal of these that comes from now on.
///
/// # Errors
///
/// As for [`notify`](super::notify).
pub(crate) fn listen(signals: &[Signal], hear: Arc<Hear>) -> io::Result<Listening> {
    if signals.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no signal to listen to: name one at least"));
    }
    for signal in signals {
        signal.check()?;
    }
    let signals = signals.iter().fold(0, |set, signal| set | signal.bit());
    let mut state = state();
    let bell = bell()?;
    let seen = bell.look(); // S2
    if state.listeners.is_empty() {
        // What came when the last listener was just going.
        PENDING.store(0, Relaxed);
    }
    state.numbers += 1;
    let number = state.numbers;
    state.listeners.push(Listener { number, signals, hear });
    state.say_who_is_heard();
    // Last: so there is no moment in which the handler is there, for all to see, and a signal ends the process all the same.
    let waits = state.install(signals).and_then(|()| bell.leave(seen));
    drop(state);
    let listening = Listening { number }; // after an error, not for long
    if !waits? {
        deliver();
    }
    Ok(listening)
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = state();
        let place = state.listeners.iter().position(|listener| listener.number == self.number);
        let gone = place.map(|place| state.listeners.swap_remove(place));
        state.say_who_is_heard();
        if let Some(bell) = BELL.get()
            && state.listeners.is_empty()
        {
            bell.forget(); // S4
        }
        drop(state);
        drop(gone); // code of the program's, perhaps
    }
}

impl State {
    fn install(&mut self, signals: u64) -> io::Result<()> {
        for signal in Signal::of(signals & !self.installed) {
            handler::install(signal)?;
            self.installed |= signal.bit();
        }
        Ok(())
    }

    fn say_who_is_heard(&self) {
        HEARD.store(self.listeners.iter().fold(0, |set, listener| set | listener.signals), Release);
    }
}

fn bell() -> io::Result<&'static Doorbell> {
    if BELL.get().is_none() {
        // Under the lock: there is no other.
        let _ = BELL.set(Doorbell::new(Waker::from(Arc::new(Deliver)))?);
    }
    Ok(BELL.get().expect("just made"))
}

/// In the handler (S1).
pub(super) fn on_signal(signal: Signal) {
    if HEARD.load(Acquire) & signal.bit() != 0 {
        PENDING.fetch_or(signal.bit(), Relaxed);
        if let Some(bell) = BELL.get() {
            bell.ring();
        }
    } else if handler::had_default(signal) {
        // Fails for a signal of which it does not know the default effect: then there is none.
        let _ = emulate_default_handler(signal.as_raw());
    }
}

/// The bell's waker.
struct Deliver;

impl Wake for Deliver {
    fn wake(self: Arc<Self>) {
        deliver();
    }
}

/// Passes on what is pending, and waits for the bell again.
fn deliver() {
    let Some(bell) = BELL.get() else { return };
    loop {
        let seen = bell.look(); // S2
        let pending = PENDING.swap(0, Relaxed);
        let state = state();
        if state.listeners.is_empty() {
            return;
        }
        let hears = |signal: Signal| {
            let listeners = state.listeners.iter().filter(move |listener| listener.signals & signal.bit() != 0);
            listeners.map(move |listener| (listener.hear.clone(), signal))
        };
        let calls: Vec<_> = Signal::of(pending).flat_map(hears).collect();
        // Without a descriptor for a poller nobody is woken by the next ring; a later listener tries again. It can only come to that if
        // the worker that had the bell has ended.
        let waits = bell.leave(seen).unwrap_or(true);
        drop(state);
        for (hear, signal) in calls {
            // A panic of a waker's, or of what is dropped there: the hook has reported it, and the others are to hear.
            discard(move || hear(signal));
        }
        if waits {
            return;
        }
    }
}
