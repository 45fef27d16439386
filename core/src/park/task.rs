//! Who is calling: a number for the current task, for the checks of debug builds.

use core::sync::atomic::{AtomicPtr, Ordering::*};

type Identify = fn() -> usize;

/// | operation | order   | pairs with | so that                                  |
/// |-----------|---------|------------|------------------------------------------|
/// | set       | Release | ask        | what the function reads was made before  |
/// | ask       | Acquire | set        | the same                                 |
static IDENTIFY: AtomicPtr<Identify> = AtomicPtr::new(core::ptr::null_mut());

/// Tells the core how to tell the tasks of a runtime apart: `by` returns a number that is the caller's alone while he runs,
/// and not 0; 0 if he is unknown.
///
/// For a runtime that has [installed](super::install) its hooks. Without, nothing is known of its tasks, and debug builds do
/// not find out that a task reads an [`RwLock`](crate::RwLock) twice.
pub fn identify_tasks(by: &'static fn() -> usize) {
    IDENTIFY.store(core::ptr::from_ref(by).cast_mut(), Release);
}

/// The caller's number, or 0 if it is unknown.
#[cfg_attr(not(all(debug_assertions, feature = "std", not(loom))), allow(dead_code))]
pub(crate) fn this_task() -> usize {
    // SAFETY: null, or a `&'static` by `identify_tasks`.
    match unsafe { IDENTIFY.load(Acquire).as_ref() } {
        Some(identify) => identify(),
        // Whose hooks are installed may run many tasks on this thread.
        None if super::hooks().is_some() => 0,
        None => this_thread(),
    }
}

/// A number that is this OS thread's alone while it lives, and not 0; 0 where there are no threads.
pub fn this_thread() -> usize {
    #[cfg(all(feature = "std", not(loom)))]
    {
        std::thread_local!(static MARK: u8 = const { 0 });
        MARK.try_with(|mark| core::ptr::from_ref(mark).addr()).unwrap_or(0)
    }
    #[cfg(not(all(feature = "std", not(loom))))]
    0
}
