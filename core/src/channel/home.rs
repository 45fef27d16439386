//! Where a channel lives, and how its handles reach it: on the heap, with the last handle as its end, or in a
//! [`StaticChannel`](super::StaticChannel).

use super::{
    Channel,
    buffer::Buffer,
    pool::{Node, Pool},
};
#[cfg(feature = "alloc")]
use {super::flavor::Flavor, crate::sync::Arc};

/// Where a channel lives: [`OnHeap`] or [`InStatic`]. It is the second parameter of [`Sender`](super::Sender) and
/// [`Receiver`](super::Receiver), for functions that take both kinds; nobody else can implement it.
///
/// # Examples
///
/// ```
/// use greenlight_core::channel::{Home, Receiver, StaticChannel, bounded};
///
/// fn sum<H: Home<u32>>(rx: Receiver<u32, H>) -> u32 {
///     rx.try_iter().sum()
/// }
///
/// static CHANNEL: StaticChannel<u32, 4> = StaticChannel::new();
/// let (tx, rx) = bounded(4);
/// for value in 1..=4 {
///     tx.send(value).unwrap();
///     CHANNEL.sender().send(value).unwrap();
/// }
/// assert_eq!(sum(rx), sum(CHANNEL.receiver()));
/// ```
pub trait Home<T>: Sealed<T> {}

/// # Safety
///
/// The buffer is `Sync` if `T` is `Send`: what is `Send` for every home counts on it, since no bound can say so.
pub unsafe trait Sealed<T> {
    type Buffer: Buffer<T> + ?Sized;

    fn channel(&self) -> &Channel<T, Self::Buffer>;

    /// The same place, for another handle.
    fn another(&self) -> Self;

    /// Whether the channel closes when the last handle like this one goes.
    fn counts(&self) -> bool;
}

/// On the heap: the channels of [`bounded`](super::bounded) and the like.
#[cfg(feature = "alloc")]
pub struct OnHeap<T>(Arc<Channel<T, Flavor<T>>>);

/// On the heap. There is none without the feature `alloc`.
#[cfg(not(feature = "alloc"))]
pub struct OnHeap<T>(core::marker::PhantomData<T>, core::convert::Infallible);

#[cfg(feature = "alloc")]
impl<T> OnHeap<T> {
    /// A new channel, for its two first handles.
    pub(super) fn halves(flavor: Flavor<T>) -> (Self, Self) {
        let channel = Arc::new(Channel::new(flavor, 1));
        (Self(channel.clone()), Self(channel))
    }
}

#[cfg(feature = "alloc")]
impl<T> Home<T> for OnHeap<T> {}

// SAFETY: `promise` compiles.
#[cfg(feature = "alloc")]
unsafe impl<T> Sealed<T> for OnHeap<T> {
    type Buffer = Flavor<T>;

    #[inline]
    fn channel(&self) -> &Channel<T, Flavor<T>> {
        &self.0
    }

    fn another(&self) -> Self {
        Self(self.0.clone())
    }

    #[inline]
    fn counts(&self) -> bool {
        true
    }
}

/// In a [`StaticChannel`](super::StaticChannel).
pub struct InStatic<'a, T> {
    pub(super) channel: &'a Channel<T, Pool<T, [Node<T>]>>,
    pub(super) counts: bool,
}

impl<T> Home<T> for InStatic<'_, T> {}

// SAFETY: `promise` compiles.
unsafe impl<T> Sealed<T> for InStatic<'_, T> {
    type Buffer = Pool<T, [Node<T>]>;

    #[inline]
    fn channel(&self) -> &Channel<T, Self::Buffer> {
        self.channel
    }

    fn another(&self) -> Self {
        Self { ..*self }
    }

    #[inline]
    fn counts(&self) -> bool {
        self.counts
    }
}

/// The compiler's word for what the implementations of [`Sealed`] promise.
const _: () = {
    const fn is_sync<B: Sync + ?Sized>() {}

    const fn promise<T: Send>() {
        is_sync::<Pool<T, [Node<T>]>>();
        #[cfg(feature = "alloc")]
        is_sync::<Flavor<T>>();
    }

    promise::<()>();
};
