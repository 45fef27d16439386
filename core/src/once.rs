//! Something that is done once, however many come to do it.
//!
//! ```text
//!            enter                  finish
//!   IDLE ─────────────▶ RUNNING ─────────────▶ DONE
//!    ▲  (one of them)      │                    for good
//!    └────── a panic, ─────┘
//!            a future dropped
//!
//!   whoever comes while it is RUNNING sleeps; each end of RUNNING wakes all, and they look again
//! ```
//!
//! * O1  The state is written under the line's lock. RUNNING belongs to the one [`Running`], whose drop ends it.
//! * O2  DONE is never left, so one look without the lock is enough to see it.
//! * O3  `done` is written last: what the initialiser wrote comes before it.
//!
//! A wake-up carries no right to run: who is woken looks, and the first who does so runs. So a future that was woken and is
//! never polled again keeps nobody from running. It does once it runs itself: see [`Once::call_once_async`].

use crate::{
    park::{self, Tick, TimedOut, Why},
    queue::WaitQueue,
    sleeper::{HasSleepers, Sleeper, wake_all},
    spin::SpinMutex,
    sync::{
        atomic::{AtomicBool, Ordering::*},
        const_unless_loom,
    },
};
use core::{
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

mod init;

pub(crate) use init::Init;

/// Something that is done once: a start-up, a registration.
///
/// There is no poisoning: if the initialiser panics, nothing is done yet, and the next caller, or one of those who wait,
/// tries again. Calling it from inside its own initialiser is a deadlock: the core does not know which task is calling.
/// [`try_call_once`](Self::try_call_once) returns false there.
///
/// For a value that is made once there are [`OnceCell`](crate::OnceCell) and [`Lazy`](crate::Lazy).
///
/// # Cost
///
/// Done already: one load, in line. Else a short lock before the initialiser and one after. No allocation ever.
///
/// # Progress and fairness
///
/// The look at what is done is wait-free. The rest waits for whoever runs, as it must; all of it takes the short spin lock, the
/// `try_` calls included, so an interrupt handler must only look (`is_completed`, and the `get` of a cell or a lazy). When an
/// initialiser panics, the first of the waiting to run is next, whoever came first.
///
/// # Examples
///
/// ```
/// use greenlight_core::Once;
///
/// static START: Once = Once::new();
///
/// for _ in 0..3 {
///     START.call_once(|| println!("only the first time"));
/// }
/// assert!(START.is_completed());
/// ```
pub struct Once {
    /// | operation     | order   | pairs with    | so that                                                   |
    /// |---------------|---------|---------------|-----------------------------------------------------------|
    /// | set           | Release | look          | who finds it done sees what the initialiser wrote         |
    /// | look          | Acquire | set           | the same                                                  |
    /// | look, locked  | Relaxed | nothing       | the lock under which it is set brings the writes          |
    done: AtomicBool,
    line: SpinMutex<Line>,
}

struct Line {
    running: bool,
    sleepers: WaitQueue<()>,
}

impl HasSleepers for Line {
    fn sleepers(&mut self) -> &mut WaitQueue<()> {
        &mut self.sleepers
    }
}

/// What somebody finds who comes to do it.
pub(crate) enum Entry<'a> {
    Done,
    Mine(Running<'a>),
}

impl Once {
    const_unless_loom! {
        /// Nothing is done yet.
        pub fn new() -> Self {
            let line = Line { running: false, sleepers: WaitQueue::new() };
            Self { done: AtomicBool::new(false), line: SpinMutex::new(line) }
        }
    }

    const_unless_loom! {
        /// Done from the start.
        pub(crate) fn completed() -> Self {
            let line = Line { running: false, sleepers: WaitQueue::new() };
            Self { done: AtomicBool::new(true), line: SpinMutex::new(line) }
        }
    }

    /// Whether it is done. Whoever sees that sees what was done, too.
    #[inline(always)]
    pub fn is_completed(&self) -> bool {
        self.done.load(Acquire)
    }

    /// Calls `f`, unless it was done before. Sleeps while another caller is at it. When this returns, it is done.
    ///
    /// # Panics
    ///
    /// If `f` does. Then it is not done, and somebody else may try.
    #[inline]
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.is_completed() {
            self.call_once_slow(f, Location::caller());
        }
    }

    #[cold]
    fn call_once_slow(&self, f: impl FnOnce(), site: &'static Location<'static>) {
        if let Entry::Mine(running) = self.enter(site) {
            f();
            running.finish();
        }
    }

    /// [`call_once`](Self::call_once), which does not wait while another caller is at it. True if it is done now.
    ///
    /// # Panics
    ///
    /// If `f` does, as there.
    ///
    /// # Examples
    ///
    /// ```
    /// let once = greenlight_core::Once::new();
    /// assert!(once.try_call_once(|| assert!(!once.try_call_once(|| unreachable!("somebody is at it")))));
    /// ```
    pub fn try_call_once(&self, f: impl FnOnce()) -> bool {
        match self.try_enter() {
            None => return false,
            Some(Entry::Done) => {}
            Some(Entry::Mine(running)) => {
                f();
                running.finish();
            }
        }
        true
    }

    /// [`call_once`](Self::call_once) with an async function, as a future.
    ///
    /// # Cancellation
    ///
    /// Dropped before it is ready, it is as if the initialiser had panicked: somebody else may try. A future that is kept, and
    /// not polled on, in the middle of its initialiser holds up everybody, as a thread does that stops there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let once = greenlight_core::Once::new();
    /// let mut call = pin!(once.call_once_async(async || ()));
    /// assert_eq!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    /// assert!(once.is_completed());
    /// ```
    pub fn call_once_async<F, Fut>(&self, f: F) -> OnceCall<'_, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = ()>,
    {
        OnceCall(Init::new(self, f))
    }

    /// Sleeps until it is done, by others.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        let _ = self.wait_until(None, Location::caller());
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), TimedOut> {
        self.wait_until(park::deadline_after(limit), Location::caller())
    }

    /// [`wait`](Self::wait), as a future.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time.
    pub fn wait_async(&self) -> OnceWait<'_> {
        OnceWait { once: self, sleeper: Sleeper::new(&self.line), over: false }
    }

    pub(crate) fn wait_until(&self, deadline: Option<Tick>, site: &'static Location<'static>) -> Result<(), TimedOut> {
        if self.is_completed() {
            return Ok(());
        }
        let why = Why::new("wait for a once", self, site);
        Sleeper::block(&self.line, &why, deadline, |_| self.is_done_locked().then_some(())).ok_or(TimedOut)
    }

    /// Waits until it is done, or the caller's to do.
    pub(crate) fn enter(&self, site: &'static Location<'static>) -> Entry<'_> {
        let why = Why::new("wait for an initialiser that another task runs", self, site);
        Sleeper::block(&self.line, &why, None, |line| self.look(line)).expect("no time limit")
    }

    pub(crate) fn try_enter(&self) -> Option<Entry<'_>> {
        self.look(&mut self.line.lock())
    }

    /// [`enter`](Self::enter), by a future.
    pub(crate) fn entering(&self) -> Entering<'_> {
        Entering { once: self, sleeper: Sleeper::new(&self.line) }
    }

    fn look(&self, line: &mut Line) -> Option<Entry<'_>> {
        if self.is_done_locked() {
            return Some(Entry::Done);
        }
        let busy = core::mem::replace(&mut line.running, true);
        (!busy).then(|| Entry::Mine(Running { once: self, done: false }))
    }

    /// The caller has the line's lock.
    fn is_done_locked(&self) -> bool {
        self.done.load(Relaxed)
    }
}

/// A wait until it is done, or the caller's to do.
pub(crate) struct Entering<'a> {
    once: &'a Once,
    sleeper: Sleeper<'a, Line>,
}

impl<'a> Entering<'a> {
    pub(crate) fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<Entry<'a>> {
        let once = self.once;
        if once.is_completed() {
            return Poll::Ready(Entry::Done);
        }
        // SAFETY: `sleeper` is pinned whenever we are.
        unsafe { self.map_unchecked(|this| &this.sleeper) }.poll(waker, |line| once.look(line))
    }
}

/// The right to do it, and the duty to say how it went: dropped, it was not done.
pub(crate) struct Running<'a> {
    once: &'a Once,
    done: bool,
}

impl Running<'_> {
    pub(crate) fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut line = self.once.line.lock();
        line.running = false;
        if self.done {
            self.once.done.store(true, Release); // O3
        }
        wake_all(&self.once.line, line);
    }
}

// A panic in an initialiser leaves it as it was.
impl RefUnwindSafe for Once {}
impl UnwindSafe for Once {}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("completed", &self.is_completed()).finish_non_exhaustive()
    }
}

/// The future of [`Once::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct OnceWait<'a> {
    once: &'a Once,
    sleeper: Sleeper<'a, Line>,
    over: bool,
}

impl OnceWait<'_> {
    /// Whether it has returned: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.over
    }
}

impl Future for OnceWait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of it, and `sleeper` is pinned whenever we are.
        let (once, sleeper, over) = unsafe {
            let this = self.get_unchecked_mut();
            (this.once, Pin::new_unchecked(&this.sleeper), &mut this.over)
        };
        assert!(!*over, "a `OnceWait` was polled after it was ready");
        let polled = sleeper.poll(context.waker(), |_| once.is_done_locked().then_some(()));
        *over = polled.is_ready();
        polled
    }
}

/// The future of [`Once::call_once_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct OnceCall<'a, F, Fut>(Init<'a, F, Fut>);

impl<F, Fut> OnceCall<'_, F, Fut> {
    /// Whether it has returned: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.0.is_over()
    }
}

impl<F, Fut> Future for OnceCall<'_, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned whenever we are.
        let init = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        init.poll(context).map(|made| {
            if let Some((running, ())) = made {
                running.finish();
            }
        })
    }
}

impl fmt::Debug for OnceWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("OnceWait { .. }")
    }
}

impl<F, Fut> fmt::Debug for OnceCall<'_, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("OnceCall { .. }")
    }
}

#[cfg(feature = "futures")]
mod fused {
    use super::*;

    impl futures_core::FusedFuture for OnceWait<'_> {
        fn is_terminated(&self) -> bool {
            self.is_terminated()
        }
    }

    impl<F: FnOnce() -> Fut, Fut: Future<Output = ()>> futures_core::FusedFuture for OnceCall<'_, F, Fut> {
        fn is_terminated(&self) -> bool {
            self.is_terminated()
        }
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
