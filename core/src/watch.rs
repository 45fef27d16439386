//! A value that others watch: each of them hears that it has changed, and looks at the latest.
//!
//! ```text
//!   send_modify:  value.write ─ change it ─ version + 1 ─ unlock ─ wake all who wait for a change
//!   changed:      version > seen?  seen = version : sleep
//!   get:          value.read ─ clone ─ unlock
//! ```
//!
//! * W1  The version moves only while its mover holds the value's write lock. So whoever reads the value after he saw
//!   version `n` reads what `n` announced or something newer, and under the read lock the two do not move.
//! * W2  A change that ends by a panic is announced like any other: the value may have changed.
//! * W3  Closures and `Clone` are the user's code: they run under the sleeping lock of the value, where they may wait and
//!   panic, and never under the spin lock of the versions. Wakers are called with neither.
//!
//! The value is in an [`RwLock`], not behind an `Arc` that is exchanged: no allocation, and readers still do not wait for
//! each other. It costs that a change waits for those who read at that moment.

use crate::{
    RwLock,
    park::{self, Tick, TimedOut, Why},
    queue::WaitQueue,
    sleeper::{HasSleepers, Sleeper, wake_all},
    spin::SpinMutex,
    sync::const_unless_loom,
};
use core::{
    fmt,
    future::Future,
    mem,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// How often the value has changed, and who waits for the next time.
pub(crate) struct State {
    /// It does not come round: at a change each nanosecond that takes 584 years.
    pub(crate) version: u64,
    /// Handles that can change the value, and that watch it: counted by the channel that is built on this.
    pub(crate) senders: usize,
    #[cfg_attr(not(feature = "alloc"), allow(dead_code))]
    pub(crate) receivers: usize,
    sleepers: WaitQueue<()>,
}

impl HasSleepers for State {
    fn sleepers(&mut self) -> &mut WaitQueue<()> {
        &mut self.sleepers
    }
}

/// No sender is left, and the last change was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl State {
    /// Whether there is a change that `seen` does not know of; it does then.
    pub(crate) fn look(&self, seen: &mut u64) -> Option<Result<(), Closed>> {
        if self.version > mem::replace(seen, self.version) {
            return Some(Ok(()));
        }
        (self.senders == 0).then_some(Err(Closed))
    }
}

/// A value that any number of tasks watch for changes: settings, a state, a progress.
///
/// It may stand in a `static`. [`subscribe`](Self::subscribe) gives each watcher a [`Watcher`] of its own; there can be any
/// number of both writers and watchers. Nobody sees every value: who is slow sees the latest. The halves that are not tied
/// to a borrow, and tell when the other side is gone, are in `channel::watch`.
///
/// # Waiting
///
/// Reads run together, a change runs alone, first come, first served: a change waits for those who read at that moment. In
/// a closure given to [`with`](Self::with) or [`send_modify`](Self::send_modify), do not use the same watch: that is a
/// deadlock. Every call takes a short spin lock, those that never sleep included: an interrupt handler must make none.
///
/// # Cost
///
/// A read: two short locks and what the closure or the clone does. A change: the same, two more, and one for each 16
/// watchers that wait. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::Watch;
///
/// static LEVEL: Watch<u32> = Watch::new(0);
///
/// let mut watcher = LEVEL.subscribe();
/// std::thread::spawn(|| LEVEL.send(3));
/// watcher.changed();
/// assert_eq!(LEVEL.get(), 3);
/// ```
pub struct Watch<T> {
    pub(crate) state: SpinMutex<State>,
    value: RwLock<T>,
}

impl<T> Watch<T> {
    const_unless_loom! {
        /// A value that nobody watches yet.
        pub fn new(value: T) -> Self {
            let state = State { version: 0, senders: 1, receivers: 0, sleepers: WaitQueue::new() };
            Self { state: SpinMutex::new(state), value: RwLock::new(value) }
        }
    }

    /// Puts `value` in the place of the one that is there, and wakes all who wait for a change.
    ///
    /// # Panics
    ///
    /// Only if the old value's drop or a waker does; `value` is in place, and announced, by then.
    #[track_caller]
    pub fn send(&self, value: T) {
        drop(self.send_replace(value));
    }

    /// [`send`](Self::send), which returns the old value.
    #[track_caller]
    pub fn send_replace(&self, value: T) -> T {
        self.send_modify(|current| mem::replace(current, value))
    }

    /// Changes the value in place, and wakes all who wait for a change. Returns what `change` does.
    ///
    /// # Panics
    ///
    /// If `change` panics. Half a change stays, and is announced.
    ///
    /// # Examples
    ///
    /// ```
    /// let list = greenlight_core::Watch::new(vec![1]);
    /// let mut watcher = list.subscribe();
    /// list.send_modify(|list| list.push(2));
    /// assert!(watcher.try_changed());
    /// assert_eq!(list.get(), [1, 2]);
    /// ```
    #[track_caller]
    pub fn send_modify<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        // Dropped from the last to the first, also by a panic (W2): version, lock, wake (W1, W3).
        let _wake = OnDrop(|| wake_all(&self.state, self.state.lock()));
        let mut value = self.value.write();
        let _announce = OnDrop(|| self.state.lock().version += 1);
        change(&mut value)
    }

    /// Calls `look` with the latest value. Others may read meanwhile, and nobody changes it.
    #[track_caller]
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.read())
    }

    /// A clone of the latest value.
    #[track_caller]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// The value, when nobody else can use it any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    /// A watcher who has seen the value as it is now, and hears of the changes from here on.
    pub fn subscribe(&self) -> Watcher<'_, T> {
        Watcher { watch: self, seen: self.version() }
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.lock().version
    }

    /// Waits for a change that `seen` does not know of. `None` if the time is up.
    pub(crate) fn wait(
        &self,
        seen: &mut u64,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Option<Result<(), Closed>> {
        park::give_way();
        // In a statement of its own: the lock is given back at its end.
        let at_once = self.state.lock().look(seen);
        at_once.or_else(|| {
            let why = Why::new("wait for a change of a watched value", &self.state, site);
            Sleeper::block(&self.state, &why, deadline, |state| state.look(seen))
        })
    }

    /// [`with`](Self::with), which takes note in `seen` of the version that `look` sees.
    #[track_caller]
    pub(crate) fn with_seen<R>(&self, seen: &mut u64, look: impl FnOnce(&T) -> R) -> R {
        let value = self.value.read();
        *seen = self.version(); // W1: it does not move while we read
        look(&value)
    }
}

/// Runs a closure when dropped: at the end, or by a panic.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

impl<T: Default> Default for Watch<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("version", &self.version()).finish_non_exhaustive()
    }
}

/// One who watches a [`Watch`], and knows which change he saw last. A clone has seen the same.
pub struct Watcher<'a, T> {
    watch: &'a Watch<T>,
    seen: u64,
}

impl<'a, T> Watcher<'a, T> {
    /// Waits until there is a change that this watcher has not seen; it counts as seen then.
    ///
    /// # Cancellation
    ///
    /// [`changed_async`](Self::changed_async) can be dropped at any time: a change that it did not report is still unseen.
    #[track_caller]
    pub fn changed(&mut self) {
        // A watch by itself has no end: its one sender, who does not exist, never goes.
        let _ = self.watch.wait(&mut self.seen, None, Location::caller());
    }

    /// Whether there is a change that this watcher has not seen; it counts as seen then. Never waits.
    pub fn try_changed(&mut self) -> bool {
        self.watch.state.lock().look(&mut self.seen).is_some()
    }

    /// [`changed`](Self::changed), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn changed_timeout(&mut self, limit: Duration) -> Result<(), TimedOut> {
        self.watch.wait(&mut self.seen, park::deadline_after(limit), Location::caller()).map(drop).ok_or(TimedOut)
    }

    /// [`changed`](Self::changed), as a future.
    pub fn changed_async(&mut self) -> WatchChanged<'_> {
        WatchChanged(Change::new(self.watch, &mut self.seen))
    }

    /// A clone of the latest value, which counts as seen.
    #[track_caller]
    pub fn get(&mut self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Calls `look` with the latest value, which counts as seen.
    #[track_caller]
    pub fn with<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        self.watch.with_seen(&mut self.seen, look)
    }

    /// What is watched.
    pub fn watch(&self) -> &'a Watch<T> {
        self.watch
    }
}

impl<T> Clone for Watcher<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> fmt::Debug for Watcher<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("seen", &self.seen).field("version", &self.watch.version()).finish()
    }
}

/// Future of [`Watcher::changed_async`]. Polled again after it was ready, it waits for another change.
#[must_use = "a future does nothing until it is polled"]
pub struct WatchChanged<'a>(Change<'a>);

impl Future for WatchChanged<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned whenever we are: it is not moved out, there is no `Drop` and no `Unpin` of our own.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx).map(drop)
    }
}

impl fmt::Debug for WatchChanged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchChanged").finish_non_exhaustive()
    }
}

/// A wait for a change, which may be dropped at any time: `seen` moves only with `Ready`.
pub(crate) struct Change<'a> {
    sleeper: Sleeper<'a, State>,
    seen: &'a mut u64,
}

impl<'a> Change<'a> {
    pub(crate) fn new<T>(watch: &'a Watch<T>, seen: &'a mut u64) -> Self {
        Self { sleeper: Sleeper::new(&watch.state), seen }
    }
}

impl Future for Change<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `sleeper` is pinned whenever we are: nobody moves it out, there is no `Drop` and no `Unpin` of our own.
        let (sleeper, seen) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&this.sleeper), &mut this.seen)
        };
        sleeper.poll(cx.waker(), |state| state.look(seen))
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
