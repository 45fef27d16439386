//! The spin lock without its value.

use crate::sync::{
    atomic::{AtomicBool, Ordering::*},
    const_unless_loom, spin,
};

/// The lock inside a [`SpinMutex`](crate::SpinMutex), without a value: for `lock_api`'s generic code.
pub struct RawSpinMutex {
    /// | operation | order   | pairs with | so that                                       |
    /// |-----------|---------|------------|-----------------------------------------------|
    /// | take      | Acquire | give back  | the new holder sees what the last one wrote   |
    /// | give back | Release | take       | the same                                      |
    /// | look      | Relaxed | nothing    | a hint when to try again; `take` does the rest |
    ///
    /// Made Relaxed, either of the first two fails `spin_holders_see_each_other`.
    locked: AtomicBool,
}

impl RawSpinMutex {
    const_unless_loom! {
        pub(crate) fn unlocked() -> Self {
            Self { locked: AtomicBool::new(false) }
        }
    }

    #[inline]
    pub(crate) fn enter(&self) {
        if !self.take() {
            self.contend();
        }
    }

    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.locked.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }

    #[cold]
    fn contend(&self) {
        let mut turn = 0;
        loop {
            while self.is_taken() {
                spin(&mut turn);
            }
            if self.take() {
                return;
            }
        }
    }

    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.locked.load(Relaxed)
    }

    /// # Safety
    ///
    /// The caller is the holder, and does not touch the value again.
    #[inline]
    pub(crate) unsafe fn give_back(&self) {
        self.locked.store(false, Release);
    }
}
