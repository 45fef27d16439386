//! Runtimes for the models: workers that have no thread.

use super::*;

/// Freed by [`free`].
pub(crate) fn shared(workers: usize) -> &'static Shared {
    Shared::new(workers, 1, &Runtime::builder().spare_workers(0))
}

/// One of whose workers may spin.
pub(crate) fn shared_that_spins(workers: usize) -> &'static Shared {
    Shared::new(workers, 2, &Runtime::builder().spare_workers(0))
}

/// # Safety
///
/// No other thread of the model looks at it any more, and nothing is queued there.
pub(crate) unsafe fn free(shared: &'static Shared) {
    // SAFETY: the box of `shared`.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(shared).cast_mut()) });
}
