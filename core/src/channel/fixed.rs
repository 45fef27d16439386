//! A channel in its own memory: for a `static`, where there is no heap, and where an interrupt handler shares it with the
//! code that it interrupts.

use super::{
    Channel, Receiver, Sender,
    home::InStatic,
    pool::{InlinePool, Node, Pool},
};
use crate::sync::{atomic::Ordering::Relaxed, const_unless_loom};
use core::fmt;

/// The sender of a [`StaticChannel`].
pub type StaticSender<'a, T> = Sender<T, InStatic<'a, T>>;

/// The receiver of a [`StaticChannel`].
pub type StaticReceiver<'a, T> = Receiver<T, InStatic<'a, T>>;

/// A channel for `N` values in its own memory: it never allocates, and may stand in a `static`.
///
/// It does what the channel of [`bounded`](super::bounded) does, for any number of senders, receivers and waiters, in `select!`
/// and as futures.
///
/// There are two ways to its handles:
///
/// * [`sender`](Self::sender) and [`receiver`](Self::receiver), at any time and place, an interrupt handler included. They
///   cost nothing to make, and the channel closes only by [`close`](Sender::close).
/// * [`split`](Self::split): the channel closes when the last sender, or the last receiver, that came from a `split` goes, as
///   one on the heap does. Others are not counted.
///
/// Once closed it stays closed.
///
/// # Progress
///
/// Strictly lock-free: `try_send` and `try_recv` never wait for anybody, and a thread, or an interrupted main loop, that has
/// stopped in the middle of either keeps one place, no more. So a handler may use both. It must not block: no `send`,
/// `recv`, or `select!` without `default`. Whoever waits is woken by the call that serves him: his waker runs in the handler.
///
/// A place that a call in the middle of its work holds counts as taken: `Full` may come while as many places are free as there
/// are such calls. `Empty` is exact.
///
/// # Cost
///
/// A place costs two words besides its value (8 bytes where there are no 64-bit atomics, else 16). The rest is 56 bytes on 32
/// bits; on 64 bits, where it keeps what different cores write apart, at most 768. All its bytes are zero when it is new, so in a
/// static it takes no room in the program's image.
///
/// # Panics
///
/// `N` of 0, or of more than `u32::MAX - 2` (65,533 where there are no 64-bit atomics), does not compile:
///
/// ```compile_fail
/// static NOTHING: greenlight_core::channel::StaticChannel<u8, 0> = greenlight_core::channel::StaticChannel::new();
/// ```
///
/// # Examples
///
/// ```
/// use greenlight_core::channel::StaticChannel;
///
/// static EVENTS: StaticChannel<u8, 3> = StaticChannel::new();
///
/// fn interrupt_handler() {
///     let _ = EVENTS.sender().try_send(7);
/// }
///
/// interrupt_handler();
/// assert_eq!(EVENTS.receiver().recv(), Ok(7));
/// ```
///
/// Split, so that it closes by itself:
///
/// ```
/// use greenlight_core::channel::StaticChannel;
///
/// static NUMBERS: StaticChannel<u32, 2> = StaticChannel::new();
///
/// let (tx, rx) = NUMBERS.split();
/// let producer = std::thread::spawn(move || (0..10).for_each(|i| tx.send(i).unwrap()));
/// assert_eq!(rx.iter().sum::<u32>(), 45);
/// producer.join().unwrap();
/// ```
pub struct StaticChannel<T, const N: usize> {
    channel: Channel<T, InlinePool<T, N>>,
}

impl<T, const N: usize> StaticChannel<T, N> {
    const_unless_loom! {
        /// An empty channel.
        pub fn new() -> Self {
            Self { channel: Channel::new(InlinePool::new(), 0) }
        }
    }

    /// A sender that is not counted.
    #[inline]
    pub fn sender(&self) -> StaticSender<'_, T> {
        Sender::of(InStatic { channel: self.any_length(), counts: false })
    }

    /// A receiver that is not counted.
    #[inline]
    pub fn receiver(&self) -> StaticReceiver<'_, T> {
        Receiver::of(InStatic { channel: self.any_length(), counts: false })
    }

    /// A sender and a receiver that are counted, as are their clones: when the last of the senders goes, or the last of the
    /// receivers, the channel closes.
    ///
    /// It can be split again: then the handles of all splits count together. After they have closed it, new ones find
    /// it closed.
    pub fn split(&self) -> (StaticSender<'_, T>, StaticReceiver<'_, T>) {
        self.channel.sender_handles.fetch_add(1, Relaxed);
        self.channel.receiver_handles.fetch_add(1, Relaxed);
        let home = || InStatic { channel: self.any_length(), counts: true };
        (Sender::of(home()), Receiver::of(home()))
    }

    /// Without the length in the type: handles of channels of any length are of one type.
    #[inline]
    fn any_length(&self) -> &Channel<T, Pool<T, [Node<T>]>> {
        &self.channel
    }
}

impl<T, const N: usize> Default for StaticChannel<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> fmt::Debug for StaticChannel<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("StaticChannel { .. }")
    }
}

#[cfg(all(test, loom))]
mod models;
