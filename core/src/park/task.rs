//! Who is calling: a number for the current task, for the checks of debug builds.

use super::hooks;

/// The caller's number, or 0 if it is unknown.
#[cfg_attr(not(all(debug_assertions, feature = "std", not(loom))), allow(dead_code))]
pub(crate) fn this_task() -> usize {
    match hooks::task_id() {
        Some(Some(task_id)) => task_id(),
        // Whose hooks are installed may run many tasks on this thread.
        Some(None) => 0,
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
