//! Channels: typed queues between tasks, with the names and errors of crossbeam-channel 0.5 and Go's `close`.
//!
//! | made by                      | holds        | a send waits                                  |
//! |------------------------------|--------------|-----------------------------------------------|
//! | [`bounded(0)`]               | nothing      | until a receiver takes the value: both meet   |
//! | [`bounded(n)`]               | `n` values   | while it is full                              |
//! | [`unbounded`]                | any number   | never                                         |
//! | [`after`], [`at`], [`tick`]  | one message  | (the clock sends)                             |
//! | [`never()`]                  |              | (a receiver for which nothing ever comes)     |
//!
//! [`bounded(0)`]: bounded
//! [`bounded(n)`]: bounded
//!
//! Both halves can be cloned and shared. A channel is **closed** by [`Sender::close`] or [`Receiver::close`], or when
//! the last sender or the last receiver goes. Then sends give their values back, and receivers get what is left before
//! they hear of it. Closing twice is fine.
//!
//! For one value there is [`oneshot`], for the latest of many [`watch`], for every value to everybody [`broadcast`].
//!
//! Waiters are served first come, first served. A waiting receiver gets its value straight from the sender.
//!
//! A wait parks the caller in its own way (see [`park`](crate::park)): a green thread, an OS thread, a bare CPU; a future waits by its
//! executor. All of them can use one channel at once.
//!
//! # Several at once
//!
//! [`select!`](crate::select) waits for the first of several operations, [`select_biased!`](crate::select_biased) prefers
//! the ones that stand first, and [`Select`] takes a list that is made at run time.
//!
//! # Progress
//!
//! No call waits for a thread that has stopped in the middle of an operation, but for these:
//!
//! * `bounded(n)`: while a thread is between claiming a slot and filling it, the values behind it are hidden: a `try_recv`
//!   says `Empty` (and a `try_send` that meets a slot being emptied says `Full`).
//! * `bounded(0)`: senders and receivers meet under a lock. A `try_` call tries for a while, then says `Full` or `Empty`. A
//!   `try_recv` that meets a select which was chosen to send waits for the value to be made.
//! * A call that has to wait, or gives up waiting, stands in line, or leaves it, under a lock: it spins while a thread that
//!   has stopped holds that. So do a `select!` that finds nothing ready, and the poll and the drop of a future that is pending.

mod arms;
pub mod broadcast;
mod buffer;
#[cfg(feature = "std")]
mod clock;
mod dynamic;
mod error;
mod flavor;
mod future;
mod lines;
mod macros;
pub mod oneshot;
mod padded;
mod receiver;
mod rendezvous;
mod ring;
mod segments;
mod select;
mod sender;
mod shared;
mod timer;
mod wait;
pub mod watch;

#[doc(inline)]
pub use crate::{select, select_biased};
#[cfg(feature = "std")]
pub use clock::{after, at, tick};
pub use dynamic::{Select, SelectedOperation};
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use future::{RecvFuture, SendFuture};
#[doc(hidden)]
pub use macros::{Chosen, Redeem, Source, Target, run_select};
pub use receiver::{IntoIter, Iter, Receiver, TryIter};
#[doc(hidden)]
pub use select::{Arm, Limit};
pub use sender::Sender;

use crate::sync::atomic::AtomicUsize;
use alloc::{boxed::Box, sync::Arc};
use buffer::Buffer;
use flavor::Flavor;
use shared::Shared;

/// A channel for `capacity` values; with 0, each send meets a receive.
///
/// # Panics
///
/// If `capacity` values, and a word for each, do not fit in memory's address space.
///
/// # Examples
///
/// ```
/// let (tx, rx) = greenlight_core::channel::bounded(2);
/// tx.send("a").unwrap();
/// tx.send("b").unwrap();
/// assert!(tx.try_send("c").unwrap_err().is_full());
/// tx.close();
/// assert_eq!(rx.iter().collect::<Vec<_>>(), ["a", "b"]);
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    halves(match capacity {
        0 => Flavor::Rendezvous(rendezvous::Rendezvous::new()),
        n => Flavor::Ring(ring::Ring::new(n)),
    })
}

/// A channel without a limit: `send` never waits.
///
/// It grows with what is in it; a producer that is quicker than its consumer fills the memory.
///
/// # Examples
///
/// ```
/// let (tx, rx) = greenlight_core::channel::unbounded();
/// for i in 0..1000 {
///     tx.send(i).unwrap();
/// }
/// assert_eq!(rx.len(), 1000);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    halves(Flavor::Unbounded(segments::Segments::new()))
}

/// A receiver for which nothing ever comes: an arm of a `select!` that is switched off. Go's nil channel.
///
/// # Examples
///
/// ```
/// let rx = greenlight_core::channel::never::<u32>();
/// assert!(rx.try_recv().unwrap_err().is_empty());
/// ```
pub fn never<T>() -> Receiver<T> {
    Receiver { channel: Channel::new(Flavor::Timer(Box::new(timer::Timer::new(None, None)))) }
}

fn halves<T>(flavor: Flavor<T>) -> (Sender<T>, Receiver<T>) {
    let channel = Channel::new(flavor);
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// What the halves of a heap channel share.
struct Channel<T> {
    shared: Shared<T, Flavor<T>>,
    /// | operation | order   | pairs with | so that                                                     |
    /// |-----------|---------|------------|-------------------------------------------------------------|
    /// | one more  | Relaxed | nothing    | the new handle is made from a live one                      |
    /// | one less  | AcqRel  | one less   | who closes does so after everything the others did          |
    sender_handles: AtomicUsize,
    receiver_handles: AtomicUsize,
}

impl<T> Channel<T> {
    fn new(flavor: Flavor<T>) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(flavor),
            sender_handles: AtomicUsize::new(1),
            receiver_handles: AtomicUsize::new(1),
        })
    }

    fn is_never(&self) -> bool {
        matches!(&self.shared.buffer, Flavor::Timer(timer) if timer.is_never())
    }

    fn capacity(&self) -> Option<usize> {
        match &self.shared.buffer {
            // Nothing ever comes, and nothing is ever kept.
            _ if self.is_never() => Some(0),
            buffer => Some(buffer.capacity()).filter(|capacity| *capacity != usize::MAX),
        }
    }
}

/// What both halves can do.
macro_rules! common {
    ($half:ident, $handles:ident) => {
        impl<T> $half<T> {
            /// Closes the channel: from now on sends give their values back, and receivers get what is left. Wakes all who
            /// wait. Returns whether this call closed it; a second one changes nothing.
            ///
            /// To close at the end of a scope, also when it ends by a panic: `defer!(tx.close())`.
            pub fn close(&self) -> bool {
                self.channel.shared.close()
            }

            /// Whether the channel takes no values any more. It may still hold some.
            pub fn is_closed(&self) -> bool {
                self.channel.shared.buffer.is_closed()
            }

            /// How many values are in the channel now.
            pub fn len(&self) -> usize {
                self.channel.shared.buffer.len()
            }

            /// Whether no value is in the channel now.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether a send would have to wait for room now; always so with capacity 0.
            pub fn is_full(&self) -> bool {
                self.capacity().is_some_and(|capacity| self.len() >= capacity)
            }

            /// How many values it can hold; `None` for [`unbounded`](super::unbounded).
            pub fn capacity(&self) -> Option<usize> {
                self.channel.capacity()
            }

            /// Whether both belong to one channel. All [`never`](super::never)s are one.
            pub fn same_channel(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.channel, &other.channel) || (self.channel.is_never() && other.channel.is_never())
            }
        }

        impl<T> Clone for $half<T> {
            fn clone(&self) -> Self {
                // `Arc` aborts before this count, which is never above its own, could wrap.
                let channel = self.channel.clone();
                channel.$handles.fetch_add(1, Relaxed);
                Self { channel }
            }
        }

        // A panic in a caller, or in a value's drop, leaves the channel whole: no user code runs inside its lock.
        impl<T> UnwindSafe for $half<T> {}
        impl<T> RefUnwindSafe for $half<T> {}

        impl<T> fmt::Debug for $half<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(concat!(stringify!($half), " { .. }"))
            }
        }
    };
}
use common;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, greenlight_steps, feature = "std", not(loom)))]
mod progress;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
