//! What AddressSanitizer must be told when a thread changes stacks. Empty without `--cfg greenlight_asan`.
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
//!   before anything else, a `finish_switch` with what its own last `start_switch` saved; null if it is fresh.
//! * N2  A stack left for the last time passes null for `save_fake`, and what was kept for it is freed.
//! * N3  `finish_switch` returns the bounds of the stack just left. That is how a worker learns those of its OS
//!   thread's stack, which it needs to switch back there.
//!
//! Frames of a task that never returned from them (it switched away for ever) leave poisoned bytes behind; `forget`
//! cleans them, so that the slot's next owner is not blamed.

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
        (std::ptr::null(), 0)
    }
}

/// Clears what the sanitizer holds against the memory from `start` to `end`.
///
/// # Safety
///
/// The memory is mapped, and no frame or object that lives there is in use.
#[inline(always)]
pub(crate) unsafe fn forget(start: *const u8, end: *const u8) {
    #[cfg(greenlight_asan)]
    // SAFETY: as the caller promises.
    unsafe {
        __asan_unpoison_memory_region(start.cast(), end.addr() - start.addr())
    };
    #[cfg(not(greenlight_asan))]
    let _ = (start, end);
}
