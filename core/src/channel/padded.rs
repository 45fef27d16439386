//! A word on cache lines of its own, where two sides write to neighbours. 128 bytes: processors fetch lines in pairs.

use core::ops::Deref;

#[cfg_attr(target_pointer_width = "64", repr(align(128)))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
