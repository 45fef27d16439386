//! Contexts: telling a tree of tasks that their work is no longer wanted, until when it is, and on whose behalf it is done.
//!
//! Go's `context`, with its names. A [`Context`] goes as the first argument to whatever may wait or take long. Contexts made
//! from it are its children: they end when it ends, and may end before.
//!
//! ```text
//!   background ── with_cancel ──▶ server ─┬─ with_timeout(5 s) ──▶ request 1 ── with_value(User) ──▶ …
//!                                         └─ with_timeout(5 s) ──▶ request 2
//! ```
//!
//! # Examples
//!
//! ```
//! use greenlight::{channel::bounded, context::{Context, ContextError}, go, select};
//!
//! fn numbers(ctx: Context) -> greenlight::channel::Receiver<u64> {
//!     let (tx, rx) = bounded(0);
//!     go(move || {
//!         for n in 0.. {
//!             select! {
//!                 send(tx, n) -> sent => if sent.is_err() { return },
//!                 wait(ctx.done()) -> _ => return, // nobody wants more
//!             }
//!         }
//!     });
//!     rx
//! }
//!
//! let (ctx, cancel) = Context::background().with_cancel();
//! assert_eq!(numbers(ctx.clone()).iter().take(3).sum::<u64>(), 3);
//! cancel.cancel();
//! assert_eq!(ctx.err(), Some(ContextError::Cancelled));
//! ```

mod after_func;
mod children;
mod node;
mod signals;
mod values;

use crate::time::Instant;
use greenlight_core::{
    Waiting,
    park::{self, TimedOut, Why},
};
use node::Node;
use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc,
    task::{Context as Cx, Poll},
    time::Duration,
};
use values::Values;

pub use after_func::AfterFunc;

/// Why a context ended, in full: what [`Context::cause`] returns. Shared, since all children have the same.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// In which of two ways a context ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextError {
    /// Somebody cancelled it, or one of its ancestors.
    Cancelled,
    /// Its deadline passed, or that of one of its ancestors.
    DeadlineExceeded,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "context cancelled",
            Self::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl Error for ContextError {}

/// How a context ended: the same for all that ended with it.
#[derive(Clone)]
struct End {
    error: ContextError,
    cause: Option<Cause>,
    site: &'static Location<'static>,
}

/// Whether some work is still wanted, until when, and the values that belong to it. Clones are the same context.
///
/// # Cost
///
/// [`is_done`](Self::is_done) is one load. A child is one allocation and a slot in its parent's list, which it leaves
/// in constant time; it needs no task and no thread. Cancelling takes time for each descendant that is in use, and for
/// nothing else. A deadline is one timer, if it comes before the parent's; when it passes, the thread of the timers does
/// what a cancel does.
#[derive(Clone, Default)]
pub struct Context {
    /// None: it never ends.
    node: Option<Arc<Node>>,
    values: Option<Arc<Values>>,
}

impl Context {
    /// The root of every tree: it never ends, and carries nothing.
    pub fn background() -> Self {
        Self::default()
    }

    /// A child that ends when [`Cancel::cancel`] is called, or with its parent. Go's `WithCancel` and `WithCancelCause`.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::context::Context;
    ///
    /// let (parent, cancel) = Context::background().with_cancel();
    /// let (child, _) = parent.with_cancel();
    /// cancel.cancel_with("the client hung up");
    /// assert!(child.is_done());
    /// assert_eq!(child.cause().unwrap().to_string(), "the client hung up");
    /// ```
    #[track_caller]
    pub fn with_cancel(&self) -> (Self, Cancel) {
        self.child(Instant::NEVER, None, Location::caller())
    }

    /// A child that also ends at `when`.
    #[track_caller]
    pub fn with_deadline(&self, when: Instant) -> (Self, Cancel) {
        self.child(when, None, Location::caller())
    }

    /// [`with_deadline`](Self::with_deadline), with what [`cause`](Self::cause) is to say if it passes.
    #[track_caller]
    pub fn with_deadline_cause(&self, when: Instant, cause: impl Into<Box<dyn Error + Send + Sync>>) -> (Self, Cancel) {
        self.child(when, Some(cause.into().into()), Location::caller())
    }

    /// A child that also ends `limit` from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    /// assert_eq!(ctx.wait(), ContextError::DeadlineExceeded);
    /// ```
    #[track_caller]
    pub fn with_timeout(&self, limit: Duration) -> (Self, Cancel) {
        self.child(Instant::after(limit), None, Location::caller())
    }

    /// [`with_timeout`](Self::with_timeout), with what [`cause`](Self::cause) is to say if it passes.
    #[track_caller]
    pub fn with_timeout_cause(
        &self,
        limit: Duration,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Self, Cancel) {
        self.child(Instant::after(limit), Some(cause.into().into()), Location::caller())
    }

    fn child(&self, when: Instant, cause: Option<Cause>, site: &'static Location<'static>) -> (Self, Cancel) {
        let late = End { error: ContextError::DeadlineExceeded, cause, site };
        let node = Node::new(self.node.as_ref(), when, late);
        (Self { node: Some(node.clone()), values: self.values.clone() }, Cancel { node })
    }

    /// The same context with a value more, which [`value`](Self::value) finds by its type. It hides an older one of that
    /// type. For what belongs to a request and passes through many hands; give it a type of its own, which is the key: who
    /// cannot name the type cannot see the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::context::Context;
    ///
    /// struct User(String);
    ///
    /// let ctx = Context::background().with_value(User("gopher".into()));
    /// assert_eq!(ctx.value::<User>().unwrap().0, "gopher");
    /// assert!(ctx.value::<String>().is_none());
    /// ```
    #[must_use = "the context itself stays as it is"]
    pub fn with_value<T: Any + Send + Sync>(&self, value: T) -> Self {
        Self { node: self.node.clone(), values: Some(Values::new(value, self.values.clone())) }
    }

    /// The value of this type that was added last, here or in an ancestor.
    ///
    /// # Cost
    ///
    /// A comparison for each value that was added after it.
    pub fn value<T: Any + Send + Sync>(&self) -> Option<&T> {
        Values::find(self.values.as_ref())
    }

    /// A context with the same values that does not end with this one, nor by itself: for work that is to be finished
    /// whatever becomes of who asked for it.
    #[must_use = "the context itself stays as it is"]
    pub fn without_cancel(&self) -> Self {
        Self { node: None, values: self.values.clone() }
    }

    /// Whether it has ended.
    ///
    /// # Cost
    ///
    /// One load.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.end().is_some()
    }

    /// In which way it has ended, if it has.
    pub fn err(&self) -> Option<ContextError> {
        self.end().map(|end| end.error)
    }

    /// `Err` once it has ended: for a loop that wants to stop at a `?`.
    ///
    /// # Errors
    ///
    /// If it has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::context::{Context, ContextError};
    ///
    /// fn sum(ctx: &Context, numbers: &[u64]) -> Result<u64, ContextError> {
    ///     let mut sum = 0;
    ///     for number in numbers {
    ///         ctx.check()?;
    ///         sum += number;
    ///     }
    ///     Ok(sum)
    /// }
    /// assert_eq!(sum(&Context::background(), &[1, 2]), Ok(3));
    /// ```
    pub fn check(&self) -> Result<(), ContextError> {
        self.err().map_or(Ok(()), Err)
    }

    /// Why it has ended, if it has: what was given to [`Cancel::cancel_with`] or the `…_cause` constructors, by whoever
    /// ended it first, here or further up; else the same as [`err`](Self::err).
    pub fn cause(&self) -> Option<Cause> {
        self.end().map(|end| end.cause.clone().unwrap_or_else(|| Arc::new(end.error)))
    }

    /// The line of the program that ended it, if it has ended: the call that cancelled, or that set the deadline.
    pub fn ended_at(&self) -> Option<&'static Location<'static>> {
        self.end().map(|end| end.site)
    }

    /// When it will end, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.as_ref().map(|node| node.deadline).filter(|when| *when != Instant::NEVER)
    }

    #[inline]
    fn end(&self) -> Option<&End> {
        self.node.as_ref()?.end()
    }

    /// A future that is ready once the context has ended, and a case for `select!`:
    /// `wait(ctx.done()) -> why => …`.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time.
    pub fn done(&self) -> Done<'_> {
        let node = self.node.as_deref();
        Done { waiting: node.map(|node| (node, node.waiters.waiting())) }
    }

    /// Blocks until the context has ended.
    ///
    /// # Cancellation
    ///
    /// It takes nothing.
    #[track_caller]
    pub fn wait(&self) -> ContextError {
        loop {
            // Without a limit, there is no other way out.
            if let Ok(error) = self.wait_for(None, Location::caller()) {
                return error;
            }
        }
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up first.
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<ContextError, TimedOut> {
        self.wait_for(Some(Instant::after(limit)), Location::caller())
    }

    fn wait_for(&self, limit: Option<Instant>, site: &'static Location<'static>) -> Result<ContextError, TimedOut> {
        if let Some(error) = self.err() {
            return Ok(error);
        }
        let object = self.node.as_ref().map_or(0, |node| Arc::as_ptr(node).addr());
        let why = Why { what: "wait for the end of a context", object, site };
        let deadline = limit.and_then(Instant::deadline);
        match &self.node {
            Some(node) => node.waiters.wait(&why, deadline, |()| node.end().map(|end| end.error)).ok_or(TimedOut),
            None => park::wait(&why, deadline, &mut |_| Poll::Pending).and(Err(TimedOut)),
        }
    }

    /// Runs `f` on a green thread of its own once the context has ended; at once if it has.
    ///
    /// The call is made as long as its handle is kept: [`AfterFunc::stop`], and dropping it, take it back, and
    /// [`AfterFunc::detach`] leaves it for good.
    ///
    /// # Panics
    ///
    /// If the context has ended and there is no memory for another stack. A panic of `f` is reported by the hook, like that of
    /// any green thread.
    ///
    /// # Cost
    ///
    /// An allocation, and a slot in the context's list. There is no task before the context ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{channel::bounded, context::Context};
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// let (tx, rx) = bounded(1);
    /// let call = ctx.after_func(move || tx.send("cleaned up"));
    /// cancel.cancel();
    /// assert_eq!(rx.recv(), Ok("cleaned up"));
    /// assert!(!call.stop()); // too late
    /// ```
    #[track_caller]
    pub fn after_func<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> AfterFunc {
        AfterFunc::new(self.node.clone(), f)
    }
}

// Whatever panics in the middle, a context is open or has ended.
impl UnwindSafe for Context {}
impl RefUnwindSafe for Context {}
impl UnwindSafe for Cancel {}
impl RefUnwindSafe for Cancel {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("err", &self.err()).field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}

/// Ends the context that it was made with, and all children of that. Clones do the same.
///
/// Dropping it does nothing; [`on_drop`](Self::on_drop) makes a guard that cancels.
#[derive(Clone)]
pub struct Cancel {
    node: Arc<Node>,
}

impl Cancel {
    /// Cancels. If the context has ended already, nothing happens. When it returns, the context and everything below it has
    /// ended, unless somebody else is just about to end it.
    ///
    /// # Panics
    ///
    /// With the panic of a foreign waker, after everybody was woken.
    #[track_caller]
    pub fn cancel(&self) {
        self.node.finish(End { error: ContextError::Cancelled, cause: None, site: Location::caller() });
    }

    /// [`cancel`](Self::cancel), and says why: see [`Context::cause`]. Go's `CancelCauseFunc`.
    ///
    /// # Panics
    ///
    /// As [`cancel`](Self::cancel).
    #[track_caller]
    pub fn cancel_with(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        let cause = Some(Cause::from(cause.into()));
        self.node.finish(End { error: ContextError::Cancelled, cause, site: Location::caller() });
    }

    /// A guard that cancels when it is dropped. Go's `defer cancel()`.
    #[must_use = "a guard that is not kept cancels at once"]
    #[track_caller]
    pub fn on_drop(self) -> CancelOnDrop {
        CancelOnDrop { cancel: self, site: Location::caller() }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").finish_non_exhaustive()
    }
}

/// Cancels a context when dropped.
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels at once"]
pub struct CancelOnDrop {
    cancel: Cancel,
    site: &'static Location<'static>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.cancel.node.finish(End { error: ContextError::Cancelled, cause: None, site: self.site });
    }
}

/// Future of [`Context::done`]. Polled again after it was ready, it is ready again.
#[must_use = "a future does nothing until it is polled"]
pub struct Done<'a> {
    /// None: never.
    waiting: Option<(&'a Node, Waiting<'a, ()>)>,
}

impl Future for Done<'_> {
    type Output = ContextError;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<ContextError> {
        // SAFETY: the waiter is pinned whenever we are: it is never moved out, there is no `Drop` and no `Unpin` of ours.
        let waiting = unsafe { self.get_unchecked_mut() }.waiting.as_mut();
        let Some((node, waiting)) = waiting else { return Poll::Pending };
        // SAFETY: as above.
        unsafe { Pin::new_unchecked(waiting) }.poll(cx.waker(), |()| node.end().map(|end| end.error))
    }
}

impl fmt::Debug for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").finish_non_exhaustive()
    }
}
