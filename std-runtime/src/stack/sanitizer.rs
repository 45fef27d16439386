//! What AddressSanitizer and ThreadSanitizer must be told when a thread changes stacks. Empty without `--cfg greenlight_asan`
//! or `--cfg greenlight_tsan`.
//!
//! ```text
//!   stack A                                              stack B
//!
//!   let mut fake = null_mut();
//!   start_switch(&mut fake, B.guard_end(), size of B);
//!   switch(&mut a, b); ────────────────────────────────▶ (fresh)   let (bottom, size) = finish_switch(null_mut());
//!                                                        (resumed) let (bottom, size) = finish_switch(its own fake);
//!   finish_switch(fake);  ◀──────────────────────────────          start_switch(&mut its fake, A's bottom, A's size);
//!                                                                  switch(&mut b, a);
//! ```
//!
//! * N1  Every `switch` stands between a `start_switch` with the bounds of the stack entered and, on that stack and
//!   before anything else, a `finish_switch` with what its own last `start_switch` saved; null if it is fresh. So with a sanitizer no
//!   stack ends by a return to its base (A5), where a `switch` follows that announces nothing.
//! * N2  A stack left for the last time passes null for `save_fake`, and what was kept for it is freed.
//! * N3  `finish_switch` returns the bounds of the stack just left. That is how a worker learns those of its OS
//!   thread's stack, which it needs to switch back there.
//!
//! ThreadSanitizer keeps the calls and the clock of each stack in a fiber of its own. To it, the bounds of a stack are the
//! fiber's address and 0: the task's header has the fiber's, made when the stack is first entered, destroyed by N2.
//!
//! Frames of a task that never returned from them (it switched away for ever) leave poisoned bytes behind; `forget`
//! cleans them, so that the stack's next owner is not blamed.

use std::ffi::c_void;

#[cfg(greenlight_asan)]
unsafe extern "C" {
    fn __sanitizer_start_switch_fiber(save_fake: *mut *mut c_void, bottom: *const c_void, size: usize);
    fn __sanitizer_finish_switch_fiber(fake: *mut c_void, old_bottom: *mut *const c_void, old_size: *mut usize);
    fn __asan_unpoison_memory_region(start: *const c_void, size: usize);
}

/// Announces that the next `switch` enters the stack of `size` bytes from `bottom` on (N1).
///
/// # Safety
///
/// `save_fake` is null (N2) or writable. The bounds are those of the stack that the next `switch` enters.
#[inline(always)]
pub(crate) unsafe fn start_switch(save_fake: *mut *mut c_void, bottom: *const u8, size: usize) {
    #[cfg(greenlight_asan)]
    // SAFETY: as the caller promises.
    unsafe {
        __sanitizer_start_switch_fiber(save_fake, bottom.cast(), size)
    };
    #[cfg(greenlight_tsan)]
    fibers::start(save_fake.is_null(), bottom);
    #[cfg(not(greenlight_asan))]
    let _ = (save_fake, bottom, size);
}

/// Announces that the switch is done, and returns the bottom and the size of the stack it left (N1, N3).
///
/// Without the sanitizer, null and zero.
///
/// # Safety
///
/// Called on the stack that was announced, with what its own last `start_switch` saved, or null if it is fresh.
#[inline(always)]
pub(crate) unsafe fn finish_switch(fake: *mut c_void) -> (*const u8, usize) {
    #[cfg(greenlight_asan)]
    {
        let mut left = (std::ptr::null(), 0);
        // SAFETY: two locals; the rest as the caller promises.
        unsafe { __sanitizer_finish_switch_fiber(fake, &mut left.0, &mut left.1) };
        (left.0.cast(), left.1)
    }
    #[cfg(not(greenlight_asan))]
    {
        let _ = fake;
        #[cfg(greenlight_tsan)]
        return (fibers::finish(), 0);
        #[cfg(not(greenlight_tsan))]
        (std::ptr::null(), 0)
    }
}

/// Clears what the sanitizer holds against the memory from `start` to `end`.
///
/// # Safety
///
/// The memory is mapped, and no frame or object that lives there is in use.
#[cfg(greenlight_asan)]
pub(crate) unsafe fn forget(start: *const u8, end: *const u8) {
    // SAFETY: as the caller promises.
    unsafe { __asan_unpoison_memory_region(start.cast(), end.addr() - start.addr()) };
}

/// ThreadSanitizer's view of stacks. A switch orders what came before it on one fiber before what comes after it on the other, as
/// it does in fact: both are the same OS thread. No lock and no table, which would order the switches of all workers.
#[cfg(greenlight_tsan)]
pub(crate) mod fibers {
    use std::{
        cell::Cell,
        ffi::{c_uint, c_void},
        ptr::null_mut,
    };

    unsafe extern "C" {
        fn __tsan_get_current_fiber() -> *mut c_void;
        fn __tsan_create_fiber(flags: c_uint) -> *mut c_void;
        fn __tsan_switch_to_fiber(fiber: *mut c_void, flags: c_uint);
        fn __tsan_destroy_fiber(fiber: *mut c_void);
    }

    thread_local! {
        /// The fiber that this thread left last, and whether for the last time.
        static LEFT: Cell<(*mut c_void, bool)> = const { Cell::new((null_mut(), false)) };
    }

    /// A new one, for a stack that was never entered.
    pub(crate) fn create() -> *const u8 {
        // SAFETY: makes one that nobody else has.
        unsafe { __tsan_create_fiber(0) }.cast()
    }

    /// Before a switch to the stack with this fiber, from one that is left for the last time, if `ends`.
    #[inline(always)]
    pub(super) fn start(ends: bool, fiber: *const u8) {
        leave(ends);
        // SAFETY: a live fiber, whose stack is the next to run on this thread.
        unsafe { __tsan_switch_to_fiber(fiber.cast_mut().cast(), 0) };
    }

    // A call: the address of a thread-local must not be kept across a switch.
    #[inline(never)]
    fn leave(ends: bool) {
        // SAFETY: asks only.
        LEFT.set((unsafe { __tsan_get_current_fiber() }, ends));
    }

    /// The fiber that was left.
    #[inline(never)]
    pub(super) fn finish() -> *const u8 {
        let (left, ended) = LEFT.get();
        if ended {
            // SAFETY: of a stack that was left for the last time (N2), and not the current one.
            unsafe { __tsan_destroy_fiber(left) };
        }
        left.cast_const().cast()
    }
}
