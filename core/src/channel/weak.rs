//! Handles that do not keep a channel open: for caches and registries of channels whose users may go.

use super::{OnHeap, Receiver, Sender, home::Sealed};
use crate::sync::atomic::Ordering::*;
use core::fmt;

/// Makes the weak form of a half, which only heap channels have.
macro_rules! weak {
    ($weak:ident, $half:ident, $handles:ident, $example:literal) => {
        #[doc = concat!("A handle of a channel that does not count as one of its [`", stringify!($half), "`]s, until it is upgraded.")]
        ///
        #[doc = concat!("Made by [`", stringify!($half), "::downgrade`]. It keeps the channel's memory, and nothing open.")]
        ///
        /// # Examples
        ///
        /// ```
        #[doc = $example]
        /// ```
        pub struct $weak<T>(OnHeap<T>);

        impl<T> $half<T> {
            /// A handle that does not keep the channel open.
            pub fn downgrade(&self) -> $weak<T> {
                $weak(self.home.another())
            }
        }

        impl<T> $weak<T> {
            /// A full handle; none if there was no other one left, since that has closed the channel for good.
            pub fn upgrade(&self) -> Option<$half<T>> {
                // "One more" in the table of `Channel`: from a count above 0 it is made beside a live handle.
                self.0
                    .channel()
                    .$handles
                    .fetch_update(Relaxed, Relaxed, |handles| (handles > 0).then(|| handles + 1))
                    .ok()
                    .map(|_| $half::of(self.0.another()))
            }
        }

        impl<T> Clone for $weak<T> {
            fn clone(&self) -> Self {
                Self(self.0.another())
            }
        }

        impl<T> fmt::Debug for $weak<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(concat!(stringify!($weak), " { .. }"))
            }
        }
    };
}

weak! {
    WeakSender, Sender, sender_handles,
    "let (tx, rx) = greenlight_core::channel::unbounded();
let weak = tx.downgrade();
weak.upgrade().unwrap().send(1).unwrap();
drop(tx);
assert!(weak.upgrade().is_none());
assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);"
}

weak! {
    WeakReceiver, Receiver, receiver_handles,
    "let (tx, rx) = greenlight_core::channel::unbounded();
let weak = rx.downgrade();
tx.send(1).unwrap();
assert_eq!(weak.upgrade().unwrap().recv(), Ok(1));
drop(rx);
assert!(weak.upgrade().is_none() && tx.is_closed());"
}
