//! Runtimes for the models: workers that have no thread.

use super::*;

/// Freed by [`free`].
pub(crate) fn shared(workers: usize) -> &'static Shared {
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        workers: OnceLock::new(),
        spares: Box::default(),
        spares_made: AtomicUsize::new(0),
        name: String::new(),
        spinning: AtomicUsize::new(0),
        spinners: 0,
        ended: AtomicBool::new(false),
        futures: Mutex::default(),
        next: AtomicUsize::new(0),
    }));
    let _ = shared.workers.set((0..workers).map(|index| Worker::new(index, shared)).collect());
    shared
}

/// # Safety
///
/// No other thread of the model looks at it any more, and nothing is queued there.
pub(crate) unsafe fn free(shared: &'static Shared) {
    // SAFETY: the box of `shared`.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(shared).cast_mut()) });
}
