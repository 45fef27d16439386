//! The core's wait group in a handle that tasks can own, and with `go`.

use crate::JoinHandle;
use std::{ops::Deref, sync::Arc};

/// Waits until a number of things have been done. Go's `sync.WaitGroup`; clones are handles of one group.
///
/// It has all of [`greenlight_core::WaitGroup`]'s calls: [`add`](greenlight_core::WaitGroup::add),
/// [`done`](greenlight_core::WaitGroup::done), [`wait`](greenlight_core::WaitGroup::wait),
/// [`count`](greenlight_core::WaitGroup::count).
///
/// # Examples
///
/// ```
/// use greenlight::{WaitGroup, go};
///
/// let wg = WaitGroup::new();
/// for i in 0..10 {
///     wg.add(1);
///     let done = wg.done_on_drop();
///     go(move || {
///         let _done = done;
///         assert!(i < 10); // … work, which may panic …
///     });
/// }
/// // The same in short:
/// wg.go(|| println!("one more"));
/// wg.wait();
/// ```
#[derive(Clone, Debug, Default)]
pub struct WaitGroup {
    group: Arc<greenlight_core::WaitGroup>,
}

impl WaitGroup {
    /// A group with nothing to wait for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `f` as a green thread that the group waits for, also if it panics. Go's `WaitGroup.Go`.
    ///
    /// # Panics
    ///
    /// As [`add`](greenlight_core::WaitGroup::add) and [`go`](fn@crate::go); the count is then as it was.
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.add(1);
        let done = self.done_on_drop();
        crate::go(move || {
            let _done = done;
            f()
        })
    }

    /// [`done`](greenlight_core::WaitGroup::done), when the guard is dropped. Go's `defer wg.Done()`. The guard may move into a
    /// task.
    #[must_use = "a guard that is not kept reports done at once"]
    pub fn done_on_drop(&self) -> DoneOnDrop {
        DoneOnDrop { group: self.clone() }
    }
}

impl Deref for WaitGroup {
    type Target = greenlight_core::WaitGroup;

    fn deref(&self) -> &Self::Target {
        &self.group
    }
}

/// Calls `done` on its [`WaitGroup`] when dropped.
#[derive(Debug)]
#[must_use = "a guard that is not kept reports done at once"]
pub struct DoneOnDrop {
    group: WaitGroup,
}

impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        self.group.done();
    }
}
