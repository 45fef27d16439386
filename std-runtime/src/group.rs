//! Tasks that belong together: groups that end together, calls that are made once for all who ask, pools, parallel loops.
//!
//! | to …                                                    | there is                                              |
//! |---------------------------------------------------------|-------------------------------------------------------|
//! | stop all at the first error                             | [`Group::new`]                                        |
//! | have all results                                        | [`Group::collect_all`]                                |
//! | have the first that succeeds                            | [`Group::first_success`]                              |
//! | compute something once for all who ask at the same time | [`SingleFlight`]                                      |
//! | have a fixed number of green threads do many jobs       | [`Pool`]                                              |
//! | spread a loop over the CPUs                             | [`parallel_for`], [`parallel_map`], [`Parallel`]      |

mod parallel;
mod policy;
mod pool;
mod single_flight;

use crate::{
    context::{Cancel, Context},
    header::discard,
};
use greenlight_core::{Mutex, Waitable, Waiting, park::Why};
use std::{
    any::Any,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as Cx, Poll},
};

pub use parallel::{Parallel, parallel_for, parallel_map};
pub use policy::{CollectAll, FirstError, FirstSuccess, Policy};
pub use pool::{Pool, PoolFull, PoolHandle, Submit};
pub use single_flight::{Flight, SingleFlight};

/// Green threads that work on one thing: one waits for all of them, and a [`Policy`] says what their results amount to. Go's
/// `errgroup.Group`. Clones are handles of one group.
///
/// A task whose work is no longer wanted is not torn away: it is told so by the group's [`context`](Self::context), and
/// [`wait`](Self::wait) waits for it.
///
/// # Panics
///
/// A task that panics is reported by the hook at once, ends the group's context, and [`wait`](Self::wait) goes on with the panic.
///
/// # Examples
///
/// ```
/// use greenlight::{context::Context, group::Group};
///
/// fn fetch(ctx: &Context, page: u32) -> Result<(), String> {
///     if page == 3 {
///         return Err("no page 3".into());
///     }
///     ctx.wait(); // … until the answer comes, or it is not wanted any more …
///     Ok(())
/// }
///
/// let group = Group::new(&Context::background());
/// for page in 1..=5 {
///     let ctx = group.context().clone();
///     group.go(move || fetch(&ctx, page));
/// }
/// assert_eq!(group.wait(), Err("no page 3".to_string()));
/// ```
pub struct Group<P: Policy> {
    shared: Arc<Shared<P>>,
}

struct Shared<P: Policy> {
    context: Context,
    cancel: Cancel,
    seats: Waitable<Seats>,
    /// A sleeping lock: the policy, and the drops of results, are the program's code.
    results: Mutex<Results<P>>,
}

struct Seats {
    /// How many tasks have not ended.
    taken: usize,
    /// How many may run at a time.
    limit: usize,
}

impl Seats {
    /// Takes one, if there is one.
    fn take(&mut self) -> Option<()> {
        (self.taken < self.limit).then(|| self.taken += 1)
    }

    fn nobody(&mut self) -> Option<()> {
        (self.taken == 0).then_some(())
    }
}

struct Results<P> {
    policy: P,
    started: usize,
    panic: Option<Box<dyn Any + Send>>,
}

impl<E: Send + 'static> Group<FirstError<E>> {
    /// A group whose first error ends its context, a child of `ctx`, and is what [`wait`](Self::wait) returns. Go's
    /// `errgroup.WithContext`.
    #[track_caller]
    pub fn new(ctx: &Context) -> Self {
        Self::with_policy(ctx, FirstError::default())
    }
}

impl<T: Send + 'static> Group<CollectAll<T>> {
    /// A group whose [`wait`](Self::wait) returns all results, in the order in which the tasks were started.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{context::Context, group::Group};
    ///
    /// let group = Group::collect_all(&Context::background());
    /// (1..=3).for_each(|i| group.go(move || i * i));
    /// assert_eq!(group.wait(), [1, 4, 9]);
    /// ```
    #[track_caller]
    pub fn collect_all(ctx: &Context) -> Self {
        Self::with_policy(ctx, CollectAll::default())
    }
}

impl<T: Send + 'static, E: Send + 'static> Group<FirstSuccess<T, E>> {
    /// A group whose first success ends its context, and is what [`wait`](Self::wait) returns; all errors, if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{context::Context, group::Group};
    ///
    /// let group = Group::first_success(&Context::background());
    /// let slow = group.context().clone();
    /// group.go(move || Err(slow.wait()));
    /// group.go(|| Ok("the fast one"));
    /// assert_eq!(group.wait(), Ok("the fast one"));
    /// ```
    #[track_caller]
    pub fn first_success(ctx: &Context) -> Self {
        Self::with_policy(ctx, FirstSuccess::default())
    }
}

impl<P: Policy> Group<P> {
    /// A group with a policy of one's own. Its context is a child of `ctx`.
    #[track_caller]
    pub fn with_policy(ctx: &Context, policy: P) -> Self {
        let (context, cancel) = ctx.with_cancel();
        let results = Mutex::new(Results { policy, started: 0, panic: None });
        let seats = Waitable::new(Seats { taken: 0, limit: usize::MAX });
        Self { shared: Arc::new(Shared { context, cancel, seats, results }) }
    }

    /// What tells the tasks that they need not go on. It ends when the policy says so, when a task panics, when
    /// [`wait`](Self::wait) returns, and with its parent.
    pub fn context(&self) -> &Context {
        &self.shared.context
    }

    /// From now on at most `limit` tasks at a time: [`go`](Self::go) waits for a place. `usize::MAX` is no limit.
    ///
    /// # Panics
    ///
    /// If tasks of the group are running.
    #[track_caller]
    pub fn set_limit(&self, limit: usize) {
        let running = self.shared.seats.with(|seats| {
            if seats.taken == 0 {
                seats.limit = limit;
            }
            seats.taken
        });
        assert!(running == 0, "Group::set_limit: {running} tasks are running");
    }

    /// Starts `f` as a green thread of the group. If there is a limit, and so many run, waits until one has ended.
    ///
    /// # Panics
    ///
    /// If there is no memory for another stack; `f` is dropped, and the group is as it was.
    ///
    /// # Cancellation
    ///
    /// While it waits, nothing has been started.
    #[track_caller]
    pub fn go(&self, f: impl FnOnce() -> P::Output + Send + 'static) {
        let object = Arc::as_ptr(&self.shared).addr();
        let why = Why { what: "start a task of a group", object, site: Location::caller() };
        while self.shared.seats.wait(&why, None, Seats::take).is_none() {}
        self.start(f);
    }

    /// [`go`](Self::go), if there is a place.
    ///
    /// # Errors
    ///
    /// Gives `f` back if there is none.
    ///
    /// # Panics
    ///
    /// As [`go`](Self::go).
    #[track_caller]
    pub fn try_go<F: FnOnce() -> P::Output + Send + 'static>(&self, f: F) -> Result<(), F> {
        match self.shared.seats.with(Seats::take) {
            None => Err(f),
            Some(()) => {
                self.start(f);
                Ok(())
            }
        }
    }

    /// [`go`](Self::go) as a future, which is ready once `f` has been started.
    ///
    /// # Panics
    ///
    /// Its poll, as [`go`](Self::go), and if it was ready before.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time: if it was not ready, nothing has been started.
    pub fn go_async<F: FnOnce() -> P::Output + Send + 'static>(&self, f: F) -> GroupGo<'_, P, F> {
        GroupGo { waiting: self.shared.seats.waiting(), group: self, f: Some(f) }
    }

    /// A seat is taken.
    #[track_caller]
    fn start(&self, f: impl FnOnce() -> P::Output + Send + 'static) {
        // Moves into the task; is dropped with the closure if there is no task.
        let seat = Seat { shared: self.shared.clone() };
        let number = {
            let mut results = self.shared.results.lock();
            results.started += 1;
            results.started - 1
        };
        crate::go(move || {
            let shared = &seat.shared;
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| shared.take(number, f()))) {
                shared.panicked(payload);
            }
            drop(seat);
        });
    }

    /// Waits until no task of the group is running, ends its context, and returns what the results amount to.
    ///
    /// # Panics
    ///
    /// With the panic of the first task that panicked, when all have ended.
    ///
    /// # Cancellation
    ///
    /// The results stay, for another call. [`wait_async`](Self::wait_async) can be dropped at any time.
    #[track_caller]
    pub fn wait(&self) -> P::Outcome {
        let object = Arc::as_ptr(&self.shared).addr();
        let why = Why { what: "wait for a group", object, site: Location::caller() };
        while self.shared.seats.wait(&why, None, Seats::nobody).is_none() {}
        self.shared.finish()
    }

    /// The outcome, if no task of the group is running. Never waits. See [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&self) -> Option<P::Outcome> {
        self.shared.seats.with(Seats::nobody).map(|()| self.shared.finish())
    }

    /// [`wait`](Self::wait) as a future.
    pub fn wait_async(&self) -> GroupWait<'_, P> {
        GroupWait { waiting: self.shared.seats.waiting(), shared: &self.shared }
    }

    /// How many tasks of the group have not ended.
    pub fn running(&self) -> usize {
        self.shared.seats.with(|seats| seats.taken)
    }
}

/// A task's share in its group: given back when the task has ended.
struct Seat<P: Policy> {
    shared: Arc<Shared<P>>,
}

impl<P: Policy> Drop for Seat<P> {
    fn drop(&mut self) {
        let heard = self.shared.seats.with(|seats| {
            seats.taken -= 1;
            seats.taken == 0 || seats.limit < usize::MAX
        });
        if heard {
            self.shared.seats.change(|_| ());
        }
    }
}

impl<P: Policy> Shared<P> {
    /// Takes what a task has returned.
    fn take(&self, number: usize, output: P::Output) {
        // In a statement of its own: the lock is given back at its end.
        let settled = self.results.lock().policy.take(number, output);
        if settled {
            self.cancel.cancel_with("a task of the group has settled it");
        }
    }

    /// Takes the panic of a task, of the policy, or of a result's drop.
    fn panicked(&self, payload: Box<dyn Any + Send>) {
        let mut results = self.results.lock();
        let unwanted = match &mut results.panic {
            first @ None => {
                *first = Some(payload);
                None
            }
            Some(_) => Some(payload),
        };
        drop(results);
        discard(|| drop(unwanted)); // code of the program's, without the lock
        self.cancel.cancel_with("a task of the group panicked");
    }

    fn finish(&self) -> P::Outcome {
        self.cancel.cancel_with("the group has been waited for");
        let (outcome, panic) = {
            let mut results = self.results.lock();
            results.started = 0;
            (results.policy.outcome(), results.panic.take())
        };
        if let Some(payload) = panic {
            // Not by the unwinding: what panics there ends the process.
            discard(|| drop(outcome));
            resume_unwind(payload);
        }
        outcome
    }
}

impl<P: Policy> Clone for Group<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P: Policy> fmt::Debug for Group<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("running", &self.running()).finish_non_exhaustive()
    }
}

/// Future of [`Group::go_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct GroupGo<'a, P: Policy, F> {
    waiting: Waiting<'a, Seats>,
    group: &'a Group<P>,
    f: Option<F>,
}

impl<P: Policy, F: FnOnce() -> P::Output + Send + 'static> Future for GroupGo<'_, P, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        // SAFETY: `waiting` is pinned whenever we are: it is not moved out, there is no `Drop` and no `Unpin` of our own. `f` is
        // not pinned: nobody gets a pinned reference to it.
        let (waiting, group, f) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.waiting), this.group, &mut this.f)
        };
        assert!(f.is_some(), "a `GroupGo` was polled after it was ready");
        let seat = waiting.poll(cx.waker(), Seats::take);
        seat.map(|()| f.take().into_iter().for_each(|f| group.start(f)))
    }
}

impl<P: Policy, F> fmt::Debug for GroupGo<'_, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupGo").finish_non_exhaustive()
    }
}

/// Future of [`Group::wait_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct GroupWait<'a, P: Policy> {
    waiting: Waiting<'a, Seats>,
    shared: &'a Shared<P>,
}

impl<P: Policy> Future for GroupWait<'_, P> {
    type Output = P::Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<P::Outcome> {
        let shared = self.shared;
        // SAFETY: the field is pinned whenever we are: it is not moved out, there is no `Drop` and no `Unpin` of our own.
        let waiting = unsafe { self.map_unchecked_mut(|this| &mut this.waiting) };
        waiting.poll(cx.waker(), Seats::nobody).map(|()| shared.finish())
    }
}

impl<P: Policy> fmt::Debug for GroupWait<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupWait").finish_non_exhaustive()
    }
}
