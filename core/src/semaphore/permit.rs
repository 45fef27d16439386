//! The proof that its holder has permits.

use super::Semaphore;
use core::{fmt, mem, ptr};

/// Permits of a [`Semaphore`], which go back when it is dropped.
#[must_use = "the permits go back as soon as the guard is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl<'a> SemaphorePermit<'a> {
    /// The caller has just taken them.
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, permits: usize) -> Self {
        Self { semaphore, permits }
    }

    /// How many it has.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Ends the guard without putting the permits back: the semaphore has that many less, for good.
    pub fn forget(self) {
        mem::forget(self);
    }

    /// A guard of its own for `permits` of the permits; none if there are not that many.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = greenlight_core::Semaphore::new(5);
    /// let mut five = semaphore.acquire(5).unwrap();
    /// let two = five.split(2).unwrap();
    /// drop(five);
    /// assert_eq!((two.permits(), semaphore.available_permits()), (2, 3));
    /// ```
    pub fn split(&mut self, permits: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(permits)?;
        Some(Self::new(self.semaphore, permits))
    }

    /// Takes over the permits of `other`.
    ///
    /// # Panics
    ///
    /// If they are another semaphore's. Both guards' permits go back to where they came from, then.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            ptr::eq(self.semaphore, other.semaphore),
            "SemaphorePermit::merge: the permits are those of two semaphores"
        );
        // It overflows only if there were more permits than a semaphore holds, taken and added again and again.
        self.permits = self.permits.checked_add(other.permits).expect("SemaphorePermit::merge: more permits than fit");
        other.permits = 0;
    }

    /// The semaphore that they belong to.
    pub fn semaphore(&self) -> &'a Semaphore {
        self.semaphore
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.add_permits(self.permits);
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}
