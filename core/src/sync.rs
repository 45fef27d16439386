//! The door to atomics, cells and spinning. Everything in this crate takes them from here and never from `core`, so
//! that `--cfg loom` swaps them all for the model checker's, and `--cfg greenlight_steps` the atomics for ones at which a test
//! can stop a thread (`steps.rs`).
//!
//! With feature `portable-atomic` the atomics are that crate's, and so is `Arc`, which `alloc` lacks where a CPU has no
//! compare-and-swap.

#[cfg(not(any(target_has_atomic = "ptr", feature = "portable-atomic")))]
compile_error!("this CPU has no compare-and-swap: enable the feature `portable-atomic` of greenlight-core");

pub(crate) use imp::*;

/// Atomics that no checker watches: for statics, which those of the model checker cannot be.
#[cfg(not(feature = "portable-atomic"))]
pub(crate) use core::sync::atomic as plain;
#[cfg(feature = "portable-atomic")]
pub(crate) use portable_atomic as plain;

#[cfg(all(feature = "alloc", not(feature = "portable-atomic")))]
pub(crate) use alloc::sync::Arc;
#[cfg(all(feature = "alloc", feature = "portable-atomic"))]
pub(crate) use portable_atomic_util::Arc;

#[cfg(all(test, greenlight_steps, feature = "std", not(loom)))]
pub(crate) mod steps;

#[cfg(not(loom))]
mod imp {
    #[cfg(not(all(test, greenlight_steps, feature = "std")))]
    pub(crate) use super::plain as atomic;
    #[cfg(all(test, greenlight_steps, feature = "std"))]
    pub(crate) use super::steps::atomic;

    /// `core`'s cell behind the shape of the model checker's.
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    impl<T: ?Sized> UnsafeCell<T> {
        /// Shared access for the length of `f`.
        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Exclusive access for the length of `f`.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }

        /// Shared access for as long as the pointer is kept: what a read guard holds.
        #[inline(always)]
        pub(crate) fn get(&self) -> ConstPtr<T> {
            ConstPtr(self.0.get())
        }

        /// Exclusive access for as long as the pointer is kept: what a guard holds.
        #[inline(always)]
        pub(crate) fn get_mut(&self) -> MutPtr<T> {
            MutPtr(self.0.get())
        }
    }

    pub(crate) struct ConstPtr<T: ?Sized>(*const T);

    impl<T: ?Sized> ConstPtr<T> {
        /// # Safety
        ///
        /// Nobody writes to the value while the reference lives.
        #[inline(always)]
        pub(crate) unsafe fn deref(&self) -> &T {
            // SAFETY: the caller's promise; the pointer comes from a live cell.
            unsafe { &*self.0 }
        }
    }

    pub(crate) struct MutPtr<T: ?Sized>(*mut T);

    impl<T: ?Sized> MutPtr<T> {
        /// # Safety
        ///
        /// Nobody else touches the value while the reference lives.
        #[inline(always)]
        #[allow(clippy::mut_from_ref)] // the model checker's signature
        pub(crate) unsafe fn deref(&self) -> &mut T {
            // SAFETY: the caller's promise; the pointer comes from a live cell.
            unsafe { &mut *self.0 }
        }
    }

    /// Nothing: see the model checker's.
    #[inline(always)]
    pub(crate) fn model_fence() {}

    /// One turn of a loop that waits for another CPU: relaxes at first, then, where there is an operating system, lets
    /// another thread run, because the one that is waited for may be on no CPU at all.
    #[inline]
    pub(crate) fn spin(turn: &mut u32) {
        const RELAXED: u32 = 64;
        *turn += 1;
        #[cfg(feature = "std")]
        if *turn > RELAXED {
            *turn = 0;
            std::thread::yield_now();
            return;
        }
        let _ = RELAXED;
        core::hint::spin_loop();
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::{ConstPtr, MutPtr, UnsafeCell};
    pub(crate) use loom::sync::atomic;

    /// The model checker takes SeqCst loads and stores for acquire and release. Where their total order matters, a load comes
    /// after this fence, which it does know; the word that the other side reads was written before its own such load.
    pub(crate) fn model_fence() {
        loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    }

    /// Under the model every spin is a yield: the checker must run somebody else.
    pub(crate) fn spin(_turn: &mut u32) {
        loom::thread::yield_now();
    }
}

/// Declares a `const fn` that is an ordinary `fn` under loom, whose atomics cannot be made at compile time.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $name($($arg: $ty),*) -> $ret $body
        #[cfg(loom)]
        $(#[$meta])* $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}
pub(crate) use const_unless_loom;
