//! Counting by tokens: what there is to wait for is a value, which is made, moved and dropped.
//!
//! * G3  A token is counted from before it exists until it is gone; so a clone is counted before a waiter could see zero.
//! * G4  Only who has the group's [`WaitTokens`] makes a token out of nothing, and he cannot do so while he waits.

use super::WaitGroup;
use crate::park::TimedOut;
use core::{cell::Cell, fmt, marker::PhantomData, time::Duration};

/// One thing that a [`WaitGroup`] waits for, until this is dropped. A clone is one thing more.
#[must_use = "a token that is not kept reports done at once"]
pub struct WaitToken<'a> {
    group: &'a WaitGroup,
}

impl<'a> WaitToken<'a> {
    #[track_caller]
    pub(super) fn new(group: &'a WaitGroup) -> Self {
        group.add(1);
        Self { group }
    }
}

impl Clone for WaitToken<'_> {
    #[track_caller]
    fn clone(&self) -> Self {
        Self::new(self.group)
    }
}

impl Drop for WaitToken<'_> {
    fn drop(&mut self) {
        self.group.done();
    }
}

impl fmt::Debug for WaitToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitToken").field("group", self.group).finish()
    }
}

/// A [`WaitGroup`] in the hands of one who starts things and waits for them: there is no count to get wrong.
///
/// While it lives, tokens are the only way to count; it cannot be cloned, and no other thread can use it. So every token is
/// made before the task that it moves into is started, and no task can add to a wait that is going on, but by a clone of a
/// token that it has.
///
/// # Examples
///
/// ```
/// use greenlight_core::WaitGroup;
///
/// let mut group = WaitGroup::new();
/// std::thread::scope(|scope| {
///     let tokens = group.tokens();
///     for _ in 0..3 {
///         let token = tokens.token();
///         scope.spawn(move || {
///             let _token = token; // … work, which may panic …
///         });
///     }
///     tokens.wait();
/// });
/// ```
///
/// Made inside the task, perhaps after the wait, a token does not compile:
///
/// ```compile_fail,E0277
/// # use greenlight_core::WaitGroup;
/// let mut group = WaitGroup::new();
/// std::thread::scope(|scope| {
///     let tokens = group.tokens();
///     scope.spawn(|| drop(tokens.token()));
///     tokens.wait();
/// });
/// ```
///
/// Neither does a `done` by hand, nor one token for two tasks:
///
/// ```compile_fail,E0502
/// # use greenlight_core::WaitGroup;
/// let mut group = WaitGroup::new();
/// let tokens = group.tokens();
/// group.done();
/// tokens.wait();
/// ```
///
/// ```compile_fail,E0382
/// # use greenlight_core::WaitGroup;
/// let mut group = WaitGroup::new();
/// std::thread::scope(|scope| {
///     let token = group.tokens().token();
///     scope.spawn(move || drop(token));
///     scope.spawn(move || drop(token));
/// });
/// ```
pub struct WaitTokens<'a> {
    group: &'a WaitGroup,
    /// Not Sync (G4).
    _one_thread: PhantomData<Cell<()>>,
}

impl<'a> WaitTokens<'a> {
    pub(super) fn new(group: &'a mut WaitGroup) -> Self {
        Self { group, _one_thread: PhantomData }
    }

    /// One thing more to wait for.
    ///
    /// # Panics
    ///
    /// As [`WaitGroup::add`].
    #[track_caller]
    pub fn token(&self) -> WaitToken<'a> {
        WaitToken::new(self.group)
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
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`](crate::park::now).
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), TimedOut> {
        self.group.wait_timeout(limit)
    }

    /// [`wait`](Self::wait), as a future. It borrows the tokens' source for itself: nobody makes one meanwhile.
    pub fn wait_async(&mut self) -> super::WaitGroupFuture<'_> {
        self.group.wait_async()
    }

    /// How many tokens there are. Out of date as soon as it is read, unless nobody else is at work.
    pub fn count(&self) -> usize {
        self.group.count()
    }
}

impl fmt::Debug for WaitTokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitTokens").field("count", &self.count()).finish()
    }
}
