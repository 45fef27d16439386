//! The signals that the system sends to the process: Ctrl-C, the wish of a service manager that it end, and others.
//!
//! Go's `os/signal`. Who listens gets them as values of a channel ([`notify`]), waits for one ([`wait`], [`ctrl_c`]), or works under a
//! context that they end ([`Context::with_signals`](crate::context::Context::with_signals)). Several may listen to one signal: each
//! gets it.
//!
//! ```standalone_crate
//! use greenlight::{channel::bounded, select, signal::{self, Signal}};
//!
//! let signals = signal::notify(&[Signal::INTERRUPT, Signal::HANGUP], 4)?;
//! let (_tx, jobs) = bounded::<u32>(0);
//! # signal_hook::low_level::raise(Signal::HANGUP.as_raw())?;
//! # signal_hook::low_level::raise(Signal::INTERRUPT.as_raw())?;
//! loop {
//!     select! {
//!         recv(jobs) -> job => println!("{job:?}"),
//!         recv(signals) -> signal => match signal.unwrap() {
//!             Signal::HANGUP => println!("reading the configuration anew"),
//!             _ => break, // Ctrl-C
//!         }
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # While somebody listens, and after
//!
//! A signal that somebody listens to has no other effect: Ctrl-C does not end the process. When the last listener has gone, it has its
//! usual effect again: it ends the process, or is ignored, or whatever else it did before the first listener came. (After real-time
//! signals, and the few of Linux alone, it is ignored.) A handler that was there before is called in any case. Libraries that
//! listen by the `signal-hook` crate, as tokio does, hear it too. Only, if one of these comes *after* us, keep a listener of
//! your own for as long as it listens: we do not know of it, and without a listener of ours a Ctrl-C would end the process.
//!
//! Signals come one by one, but those of one kind that come faster than they can be delivered are one: the system itself keeps
//! but one of each kind. So they say that something has happened, not how often.
//!
//! # Deadlock
//!
//! Somebody else may send a signal at any time, so while there is a listener no deadlock is reported.
//!
//! # Stacks
//!
//! The system runs a handler on the stack of the thread that it interrupts, which may be a green thread's: ours needs a few KiB
//! there.
//!
//! # Cost
//!
//! No thread and no task. A signal is a system call in its handler and an event in the poller of a worker, which passes it on. (In a
//! program whose tasks all run in a [`LocalRuntime`](crate::LocalRuntime), that worker is one of the global runtime, which starts then.)

mod delivery;
mod handler;
mod kind;

pub use kind::Signal;

pub(crate) use delivery::listen;

use crate::channel::{Receiver, bounded};
use delivery::Listening;
use std::{error::Error, fmt, future::Future, io, ops::Deref, sync::Arc};

/// Has these signals come as values of a channel, from now on and until the result is dropped. Go's `signal.Notify`.
///
/// The channel keeps `capacity` of them. One that comes while it is full is lost to this listener: 1 is right for one kind of signal
/// which only has to be noticed, and for several kinds as many as may come while nobody looks.
///
/// # Errors
///
/// For a signal that nobody can listen to, with what to do instead: SIGKILL and SIGSTOP, which the system keeps to itself, and those
/// of a fault (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT), after which the thread that runs cannot go on. If there is no
/// such signal, `signals` is empty, or `capacity` is 0. The system's: no descriptor is left.
///
/// # Examples
///
/// ```standalone_crate
/// use greenlight::signal::{self, Signal};
///
/// let signals = signal::notify(&[Signal::USER_1], 1)?;
/// # signal_hook::low_level::raise(Signal::USER_1.as_raw())?;
/// assert_eq!(signals.recv(), Ok(Signal::USER_1)); // after `kill -USR1`
///
/// let error = signal::notify(&[Signal::from_raw(9)], 1).unwrap_err();
/// assert!(error.to_string().contains("listen to SIGTERM"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn notify(signals: &[Signal], capacity: usize) -> io::Result<Signals> {
    if capacity == 0 {
        let complaint = "signals need a channel of capacity 1 or more: what comes while nobody waits would be lost";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, complaint));
    }
    let (tx, receiver) = bounded(capacity);
    // Full: it is lost, as is said. Closed: nobody receives.
    let listening = listen(signals, Arc::new(move |signal| _ = tx.try_send(signal)))?;
    Ok(Signals { receiver, _listening: listening })
}

/// The channel of [`notify`]. It [derefs](Deref) to a [`Receiver`], so all that a receiver can do is there: `recv` and its like, `iter`,
/// `select!`, futures, streams.
///
/// Dropped, it listens no more; what it has not received is lost, and clones of the receiver are at their end.
#[must_use = "dropped, it listens no more"]
pub struct Signals {
    receiver: Receiver<Signal>,
    _listening: Listening,
}

impl Deref for Signals {
    type Target = Receiver<Signal>;

    fn deref(&self) -> &Receiver<Signal> {
        &self.receiver
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("waiting", &self.receiver.len()).finish_non_exhaustive()
    }
}

/// Waits for one of these signals, and says which. What comes before or after the call it does not hear: for a loop, use [`notify`].
///
/// # Errors
///
/// As for [`notify`].
///
/// # Cancellation
///
/// It listens no more.
///
/// # Examples
///
/// ```no_run
/// use greenlight::signal::{self, Signal};
///
/// let signal = signal::wait(&[Signal::INTERRUPT, Signal::TERMINATE])?;
/// eprintln!("{signal}: the end");
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn wait(signals: &[Signal]) -> io::Result<Signal> {
    Ok(notify(signals, 1)?.recv().expect("the sender listens as long as we do"))
}

/// [`wait`] as a future of any executor, or an arm of `select!`. It listens from the call on, until it is dropped.
///
/// # Errors
///
/// As for [`notify`], when it is awaited.
///
/// # Examples
///
/// ```
/// use greenlight::{select, signal::{self, Signal}, time::sleep_async};
/// use std::time::Duration;
///
/// select! {
///     wait(signal::wait_async(&[Signal::USER_2])) -> signal => unreachable!("{signal:?}"),
///     default(Duration::from_millis(1)) => {} // nobody sent it
/// }
/// ```
pub fn wait_async(signals: &[Signal]) -> impl Future<Output = io::Result<Signal>> + Send + 'static {
    let signals = notify(signals, 1);
    async { Ok(signals?.recv_async().await.expect("the sender listens as long as we do")) }
}

/// Waits until somebody presses Ctrl-C. The next Ctrl-C, if nobody else listens, ends the process.
///
/// # Errors
///
/// As for [`notify`].
///
/// # Cancellation
///
/// As for [`wait`].
///
/// # Examples
///
/// ```no_run
/// greenlight::signal::ctrl_c()?;
/// eprintln!("bye");
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn ctrl_c() -> io::Result<()> {
    wait(&[Signal::INTERRUPT]).map(drop)
}

/// [`ctrl_c`] as a future of any executor, or an arm of `select!`.
///
/// # Errors
///
/// As for [`notify`], when it is awaited.
pub fn ctrl_c_async() -> impl Future<Output = io::Result<()>> + Send + 'static {
    let signal = wait_async(&[Signal::INTERRUPT]);
    async { signal.await.map(drop) }
}

/// Why a [context with signals](crate::context::Context::with_signals) has ended: the signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signalled(pub Signal);

impl fmt::Display for Signalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was received", self.0)
    }
}

impl Error for Signalled {}
