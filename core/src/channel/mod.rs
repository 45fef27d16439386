//! Channels: typed queues between tasks, with the names and errors of crossbeam-channel 0.5 and Go's `close`.
//!
//! | made by                      | holds        | a send waits                                  | a stopped thread … |
//! |------------------------------|--------------|-----------------------------------------------|--------------------|
//! | [`bounded(0)`]               | nothing      | until a receiver takes the value: both meet   | see below          |
//! | [`bounded(n)`]               | `n` values   | while it is full                              | hides              |
//! | [`bounded_strict(n)`]        | `n` values   | while it is full                              | keeps one place    |
//! | [`unbounded`]                | any number   | never                                         | keeps one value    |
//! | [`StaticChannel`]            | `N` values   | while it is full                              | keeps one place    |
//! | [`after`], [`at`], [`tick`]  | one message  | (the clock sends)                             | see below          |
//! | [`never()`]                  |              | (a receiver for which nothing ever comes)     |                    |
//!
//! [`bounded(0)`]: bounded
//! [`bounded(n)`]: bounded
//! [`bounded_strict(n)`]: bounded_strict
//!
//! Both halves can be cloned and shared. A channel is **closed** by [`Sender::close`] or [`Receiver::close`], or when
//! the last sender or the last receiver goes. Then sends give their values back, and receivers get what is left before
//! they hear of it. Closing twice is fine.
//!
//! All but [`StaticChannel`] live on the heap, and need the feature `alloc`; so does [`Select`].
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
//! [`select!`](crate::select) waits for the first of several operations, and of any futures; [`select_biased!`](crate::select_biased) prefers
//! the ones that stand first, and [`Select`] takes a list that is made at run time.
//!
//! # Progress
//!
//! What a call makes of a thread that has stopped in the middle of an operation:
//!
//! * `bounded_strict`, [`StaticChannel`], `unbounded`: no `try_` call waits for it, and it hides nothing. An interrupt
//!   handler may use the first two (`unbounded` allocates).
//! * `bounded(n)`: no `try_` call waits for it. While a thread is between claiming a slot and filling it, the values behind it are hidden: a `try_recv`
//!   says `Empty` (and a `try_send` that meets a slot being emptied says `Full`).
//! * `after`, `at`, `tick`: every call takes a lock for a few instructions, and spins while a thread that has stopped holds it.
//! * `bounded(0)`: senders and receivers meet under a lock. A `try_` call tries for a while, then says `Full` or `Empty`. A
//!   `try_recv` that meets a select which was chosen to send waits for the value to be made.
//! * `ready` of a [`Select`] waits for a value that is on its way in, or for a place on its way out.
//! * A call that has to wait, or gives up waiting, stands in line, or leaves it, under a lock: it spins while a thread that
//!   has stopped holds that. So do a `select!` that finds nothing ready, and the poll and the drop of a future that is pending.

mod arms;
#[cfg(feature = "alloc")]
pub mod broadcast;
mod buffer;
#[cfg(feature = "std")]
mod clock;
#[cfg(feature = "alloc")]
mod dynamic;
mod error;
mod event;
mod fixed;
#[cfg(feature = "alloc")]
mod flavor;
mod future;
mod home;
mod lines;
mod macros;
#[cfg(feature = "alloc")]
pub mod oneshot;
mod padded;
mod pause;
mod pool;
mod receiver;
#[cfg(feature = "alloc")]
mod rendezvous;
#[cfg(feature = "alloc")]
mod ring;
#[cfg(feature = "alloc")]
mod segments;
mod select;
mod sender;
mod shared;
#[cfg(feature = "futures")]
mod stream;
#[cfg(feature = "alloc")]
mod timer;
mod wait;
#[cfg(feature = "alloc")]
pub mod watch;
#[cfg(feature = "alloc")]
mod weak;

#[doc(inline)]
pub use crate::{select, select_biased};
#[cfg(feature = "std")]
pub use clock::{after, at, tick};
#[cfg(feature = "alloc")]
pub use dynamic::{Select, SelectedOperation};
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
#[doc(hidden)]
pub use event::wait_arm;
pub use fixed::{StaticChannel, StaticReceiver, StaticSender};
pub use future::{RecvFuture, SendFuture};
pub use home::{Home, InStatic, OnHeap};
#[doc(hidden)]
pub use macros::{Chosen, Redeem, Source, Target, run_select};
pub use receiver::{Drain, IntoIter, Iter, Receiver, TryIter};
#[doc(hidden)]
pub use select::{Arm, Limit};
pub use sender::Sender;
#[cfg(feature = "futures")]
pub use stream::{RecvStream, SendSink};
#[cfg(feature = "alloc")]
pub use weak::{WeakReceiver, WeakSender};

use crate::sync::{atomic::AtomicUsize, const_unless_loom};
use shared::Shared;
#[cfg(feature = "alloc")]
use {alloc::boxed::Box, flavor::Flavor};

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
#[cfg(feature = "alloc")]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    halves(match capacity {
        0 => Flavor::Rendezvous(rendezvous::Rendezvous::new()),
        n => Flavor::Ring(ring::Ring::new(n)),
    })
}

/// A channel for `capacity` values whose `try_` calls let no stopped thread hide anything.
///
/// It is to [`bounded`] what a [`StaticChannel`] is on the heap: a thread that has stopped in the middle of a send or a
/// receive keeps one place, and all other values and places stay within reach. That takes five atomic exchanges for a value
/// instead of two. One thread that sends a value and receives it, on two shared virtual CPUs (November 2026), in one run,
/// median of five, in ns for the pair: `bounded_strict` 28, `bounded` 9, kanal 7, std 16, crossbeam 18 (capacity 1); 26, 8, 6,
/// 15, 18 (128 in, 128 out). So it is not the default. `cargo run --release -p greenlight-benches --bin channels pair` measures it.
///
/// # Panics
///
/// If `capacity` is 0, or above `u32::MAX - 2` (65,533 where there are no 64-bit atomics).
///
/// # Examples
///
/// ```
/// let (tx, rx) = greenlight_core::channel::bounded_strict(2);
/// tx.send("a").unwrap();
/// tx.send("b").unwrap();
/// assert!(tx.try_send("c").unwrap_err().is_full());
/// assert_eq!(rx.recv(), Ok("a"));
/// ```
#[cfg(feature = "alloc")]
pub fn bounded_strict<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    halves(Flavor::Pool(pool::HeapPool::with_capacity(capacity)))
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
#[cfg(feature = "alloc")]
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
#[cfg(feature = "alloc")]
pub fn never<T>() -> Receiver<T> {
    timed(timer::Timer::new(None, None))
}

#[cfg(feature = "alloc")]
fn timed<T>(timer: timer::Timer<T>) -> Receiver<T> {
    let (_, receiver) = OnHeap::halves(Flavor::Timer(Box::new(timer)));
    Receiver::of(receiver)
}

#[cfg(feature = "alloc")]
fn halves<T>(flavor: Flavor<T>) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = OnHeap::halves(flavor);
    (Sender::of(sender), Receiver::of(receiver))
}

/// A channel: what its handles share.
///
/// | operation | order   | pairs with | so that                                                     |
/// |-----------|---------|------------|-------------------------------------------------------------|
/// | one more  | Relaxed | nothing    | it is made from a live one, or by a split: then nobody who  |
/// |           |         |            | closes relies on what its maker did                         |
/// | one less  | AcqRel  | one less   | who closes does so after everything the others did          |
///
/// "One less" as Acquire or as Release fails `channel_end_shows_what_all_senders_did`, or `…_receivers_did`.
pub struct Channel<T, B: ?Sized> {
    sender_handles: AtomicUsize,
    receiver_handles: AtomicUsize,
    /// The last, so that its buffer may be of any length.
    shared: Shared<T, B>,
}

impl<T, B> Channel<T, B> {
    const_unless_loom! {
        /// With so many handles on each side.
        fn new(buffer: B, handles: usize) -> Self {
            Self {
                sender_handles: AtomicUsize::new(handles),
                receiver_handles: AtomicUsize::new(handles),
                shared: Shared::new(buffer),
            }
        }
    }
}

/// What both halves can do.
macro_rules! common {
    ($half:ident, $handles:ident) => {
        impl<T, H: Home<T>> $half<T, H> {
            pub(super) fn of(home: H) -> Self {
                Self { home, _value: PhantomData }
            }

            #[inline]
            pub(super) fn shared(&self) -> &Shared<T, H::Buffer> {
                &self.home.channel().shared
            }

            /// Closes the channel: from now on sends give their values back, and receivers get what is left. Wakes all who
            /// wait. Returns whether this call closed it; a second one changes nothing.
            ///
            /// To close at the end of a scope, also when it ends by a panic: `defer!(tx.close())`.
            pub fn close(&self) -> bool {
                self.shared().close()
            }

            /// Whether the channel takes no values any more. It may still hold some.
            pub fn is_closed(&self) -> bool {
                self.shared().buffer.is_closed()
            }

            /// How many values are in the channel now. A send at work may count before its value is there (also one that
            /// then fails, because the channel is closed); a receive at work may have its value counted no more.
            pub fn len(&self) -> usize {
                self.shared().buffer.len()
            }

            /// Whether no value is in the channel now, as [`len`](Self::len) counts them.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether a send would have to wait for room now, as [`len`](Self::len) counts; always so with capacity 0.
            pub fn is_full(&self) -> bool {
                self.capacity().is_some_and(|capacity| self.len() >= capacity)
            }

            /// How many values it can hold; `None` for [`unbounded`](super::unbounded).
            pub fn capacity(&self) -> Option<usize> {
                match &self.shared().buffer {
                    // Nothing ever comes, and nothing is ever kept.
                    buffer if buffer.is_never() => Some(0),
                    buffer => Some(buffer.capacity()).filter(|capacity| *capacity != usize::MAX),
                }
            }

            /// Whether both belong to one channel. All [`never`](super::never)s are one.
            pub fn same_channel(&self, other: &Self) -> bool {
                let (own, others) = (self.shared(), other.shared());
                core::ptr::addr_eq(own, others) || (own.buffer.is_never() && others.buffer.is_never())
            }
        }

        impl<T, H: Home<T>> Clone for $half<T, H> {
            fn clone(&self) -> Self {
                // `Arc` aborts before this count, which is never above its own, could wrap.
                let home = self.home.another();
                if home.counts() {
                    home.channel().$handles.fetch_add(1, Relaxed);
                }
                Self::of(home)
            }
        }

        // A panic in a caller, or in a value's drop, leaves the channel whole: no user code runs inside its lock.
        impl<T, H: Home<T>> UnwindSafe for $half<T, H> {}
        impl<T, H: Home<T>> RefUnwindSafe for $half<T, H> {}

        impl<T, H: Home<T>> fmt::Debug for $half<T, H> {
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
