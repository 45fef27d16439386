//! The core's wait group in a handle that tasks can own, and with `go`.

use crate::JoinHandle;
use greenlight_core::{WaitGroupFuture, park::TimedOut};
use std::{cell::Cell, marker::PhantomData, ops::Deref, sync::Arc, time::Duration};

/// Waits until a number of things have been done. Go's `sync.WaitGroup`; clones are handles of one group.
///
/// It has all of [`greenlight_core::WaitGroup`]'s calls: [`add`](greenlight_core::WaitGroup::add),
/// [`done`](greenlight_core::WaitGroup::done), [`wait`](greenlight_core::WaitGroup::wait),
/// [`wait_timeout`](greenlight_core::WaitGroup::wait_timeout), [`wait_async`](greenlight_core::WaitGroup::wait_async),
/// [`count`](greenlight_core::WaitGroup::count). Where nobody should count by hand, use [`WaitTokens`].
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
        self.token().go(f)
    }

    /// [`add`](greenlight_core::WaitGroup::add)s one thing to wait for, and gives the token whose drop reports it done: it may
    /// move into a task. Make it before the task is started.
    ///
    /// # Panics
    ///
    /// As [`add`](greenlight_core::WaitGroup::add).
    ///
    /// # Examples
    ///
    /// ```
    /// let wg = greenlight::WaitGroup::new();
    /// let token = wg.token();
    /// greenlight::go(move || drop(token));
    /// wg.wait();
    /// ```
    #[track_caller]
    pub fn token(&self) -> WaitToken {
        self.add(1);
        WaitToken { group: self.clone() }
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

/// One thing that a group waits for, until this is dropped. A clone is one thing more.
#[derive(Debug)]
#[must_use = "a token that is not kept reports done at once"]
pub struct WaitToken {
    group: WaitGroup,
}

impl WaitToken {
    /// Starts `f` as a green thread that has this token: the group waits for it, also if it panics.
    ///
    /// # Panics
    ///
    /// As [`go`](fn@crate::go); the token is gone then.
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        crate::go(move || {
            let _token = self;
            f()
        })
    }
}

impl Clone for WaitToken {
    #[track_caller]
    fn clone(&self) -> Self {
        self.group.token()
    }
}

impl Drop for WaitToken {
    fn drop(&mut self) {
        self.group.done();
    }
}

/// A wait group in the hands of one who starts things and waits for them: there is no count to get wrong.
///
/// It cannot be cloned, and no other task can use it. So every token is made before the task that it moves into is started, and
/// no task can add to a wait that is going on, but by a clone of a token that it has.
///
/// # Examples
///
/// ```
/// use greenlight::WaitTokens;
///
/// let tokens = WaitTokens::new();
/// for i in 0..10 {
///     tokens.go(move || assert!(i < 10));
/// }
/// let token = tokens.token();
/// std::thread::spawn(move || drop(token));
/// tokens.wait();
/// ```
///
/// Made inside the task, perhaps after the wait, a token does not compile:
///
/// ```compile_fail,E0277
/// let tokens = std::sync::Arc::new(greenlight::WaitTokens::new());
/// let inside = tokens.clone();
/// greenlight::go(move || drop(inside.token()));
/// tokens.wait();
/// ```
#[derive(Debug, Default)]
pub struct WaitTokens {
    group: WaitGroup,
    /// Not Sync: only its owner makes tokens.
    _one_task: PhantomData<Cell<()>>,
}

impl WaitTokens {
    /// Nothing to wait for.
    pub fn new() -> Self {
        Self::default()
    }

    /// One thing more to wait for.
    ///
    /// # Panics
    ///
    /// As [`add`](greenlight_core::WaitGroup::add).
    #[track_caller]
    pub fn token(&self) -> WaitToken {
        self.group.token()
    }

    /// Starts `f` as a green thread that has a token. Go's `WaitGroup.Go`.
    ///
    /// # Panics
    ///
    /// As [`go`](fn@crate::go).
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.group.go(f)
    }

    /// Sleeps until all tokens are gone. There may be others after that, and another wait.
    #[track_caller]
    pub fn wait(&self) {
        self.group.wait();
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), TimedOut> {
        self.group.wait_timeout(limit)
    }

    /// [`wait`](Self::wait), as a future.
    pub fn wait_async(&mut self) -> WaitGroupFuture<'_> {
        self.group.wait_async()
    }

    /// How many tokens there are. Out of date as soon as it is read, unless nobody else is at work.
    pub fn count(&self) -> usize {
        self.group.count()
    }
}
