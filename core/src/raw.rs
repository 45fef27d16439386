//! The locks without their values, for `lock_api` (feature `lock_api`): mapped guards, guards that own an `Arc` of their lock,
//! and code that is generic over locks.
//!
//! | here               | is the lock in                                | implements                                              |
//! |--------------------|-----------------------------------------------|---------------------------------------------------------|
//! | [`RawMutex`]       | [`Mutex`](crate::Mutex)                       | `RawMutex`, `RawMutexFair`, `RawMutexTimed` (std)       |
//! | [`RawRwLock`]      | [`RwLock`](crate::RwLock)                     | `RawRwLock` and its `Downgrade`, `Recursive`, `Timed` (std), `RecursiveTimed` (std) |
//! | [`RawSpinMutex`]   | [`SpinMutex`](crate::SpinMutex)               | `RawMutex`                                              |
//! | [`RawTicketMutex`] | [`TicketMutex`](crate::TicketMutex)           | `RawMutex`, `RawMutexFair`                              |
//!
//! Waiters sleep through the same seam, and stand in the same lines, as those of the crate's own locks. What `lock_api` has no
//! name for (futures, the runtime's name of who waits where) is theirs alone; so are the reports of a nested read.
//!
//! [`RawRwLock`] has no fair unlocks: its plain ones wake who waits, and let in who was woken in vain too often.
//!
//! # Examples
//!
//! ```
//! use greenlight_core::raw::RawMutex;
//! use lock_api::{Mutex, MutexGuard};
//!
//! static PAIR: Mutex<RawMutex, (u32, u32)> = Mutex::new((1, 2));
//!
//! let mut second = MutexGuard::map(PAIR.lock(), |pair| &mut pair.1);
//! *second += 1;
//! drop(second);
//! assert_eq!(*PAIR.lock(), (1, 3));
//! ```

pub use crate::{
    mutex::RawMutex,
    rw_lock::RawRwLock,
    spin::{RawSpinMutex, RawTicketMutex},
};

use crate::rw_lock::{Access, Manners};
use core::panic::Location;
use lock_api::GuardSend;
#[cfg(feature = "std")]
use {
    crate::park,
    std::time::{Duration, Instant},
};

/// The tick of the seam's clock that an instant of std's is.
#[cfg(feature = "std")]
fn tick(deadline: Instant) -> Option<park::Tick> {
    park::deadline_after(deadline.saturating_duration_since(Instant::now()))
}

// SAFETY: M1.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const)] // lock_api's way to make a new one
    const INIT: Self = Self::unlocked();

    type GuardMarker = GuardSend;

    #[inline]
    #[track_caller]
    fn lock(&self) {
        self.lock_at(Location::caller());
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.take()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's word.
        unsafe { self.give_back() };
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.is_taken()
    }
}

// SAFETY: M1; handed over, the lock is another's.
unsafe impl lock_api::RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller's word.
        unsafe { self.hand_over() };
    }
}

#[cfg(feature = "std")]
// SAFETY: M1; true means that the lock is the caller's.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_for(&self, limit: Duration) -> bool {
        self.lock_until(park::deadline_after(limit), Location::caller())
    }

    #[track_caller]
    fn try_lock_until(&self, deadline: Instant) -> bool {
        self.lock_until(tick(deadline), Location::caller())
    }
}

// SAFETY: R1.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const)] // as above
    const INIT: Self = Self::unlocked();

    type GuardMarker = GuardSend;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) {
        self.enter(Access::Read);
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_enter(Access::Read, Manners::InLine)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's word.
        unsafe { self.leave(Access::Read) };
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) {
        self.enter(Access::Write);
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_enter(Access::Write, Manners::InLine)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's word.
        unsafe { self.leave(Access::Write) };
    }

    fn is_locked(&self) -> bool {
        self.is_read() || self.is_written()
    }

    fn is_locked_exclusive(&self) -> bool {
        self.is_written()
    }
}

// SAFETY: R1, the writer becomes a reader with nobody in between.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        // SAFETY: the caller's word.
        unsafe { RawRwLock::downgrade(self) };
    }
}

// SAFETY: R1; a writer that waits does not keep it out.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    #[track_caller]
    fn lock_shared_recursive(&self) {
        self.enter_nested();
    }

    fn try_lock_shared_recursive(&self) -> bool {
        self.try_enter(Access::Read, Manners::Nested)
    }
}

#[cfg(feature = "std")]
// SAFETY: R1; true means that the caller holds the lock.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, limit: Duration) -> bool {
        self.enter_until(Access::Read, Manners::InLine, park::deadline_after(limit))
    }

    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Instant) -> bool {
        self.enter_until(Access::Read, Manners::InLine, tick(deadline))
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, limit: Duration) -> bool {
        self.enter_until(Access::Write, Manners::InLine, park::deadline_after(limit))
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> bool {
        self.enter_until(Access::Write, Manners::InLine, tick(deadline))
    }
}

#[cfg(feature = "std")]
// SAFETY: as for the two that it joins.
unsafe impl lock_api::RawRwLockRecursiveTimed for RawRwLock {
    #[track_caller]
    fn try_lock_shared_recursive_for(&self, limit: Duration) -> bool {
        self.enter_until(Access::Read, Manners::Nested, park::deadline_after(limit))
    }

    #[track_caller]
    fn try_lock_shared_recursive_until(&self, deadline: Instant) -> bool {
        self.enter_until(Access::Read, Manners::Nested, tick(deadline))
    }
}

/// What the two spin locks have of it is the same.
macro_rules! spin_lock {
    ($lock:ident) => {
        // SAFETY: L1, T1: only who took it holds it.
        unsafe impl lock_api::RawMutex for $lock {
            #[allow(clippy::declare_interior_mutable_const)] // as above
            const INIT: Self = Self::unlocked();

            type GuardMarker = GuardSend;

            #[inline]
            fn lock(&self) {
                self.enter();
            }

            #[inline]
            fn try_lock(&self) -> bool {
                self.take()
            }

            #[inline]
            unsafe fn unlock(&self) {
                // SAFETY: the caller's word.
                unsafe { self.give_back() };
            }

            #[inline]
            fn is_locked(&self) -> bool {
                self.is_taken()
            }
        }
    };
}

spin_lock!(RawSpinMutex);
spin_lock!(RawTicketMutex);

// SAFETY: T1; each unlock is fair.
unsafe impl lock_api::RawMutexFair for RawTicketMutex {
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller's word.
        unsafe { self.give_back() };
    }
}
