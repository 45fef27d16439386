//! Green threads that may borrow, because somebody waits for them.
//!
//! ```text
//!   scope(|s| …)      frame with what is borrowed
//!      │ spawn            ▲   ▲
//!      ├──▶ child ────────┘   │            Members: how many still run, which (for a cancel), the first panic
//!      ├──▶ child ────────────┘
//!      ▼
//!   the closure has returned, panicked or was cancelled ──▶ wait for all ──▶ go on, or raise the panic
//! ```
//!
//! * B1  `scope` neither returns nor unwinds before each child has left: the wait is not cancelled, and a green thread that
//!   never wakes is never freed, so its frame stays.
//! * B2  A child leaves last of all it does: closure and locals are gone; its result is gone, or belongs to a handle, which
//!   cannot outlive the scope, or was forgotten, and then nobody drops it.
//! * B3  Children have a share of `Members`, since the last one still touches it when the scope may go on.
//!
//! Only in closure form: a guard that waits in its `Drop` could be forgotten, and the borrows would end before the children.

use crate::{
    header::{self, Outcome, Spawn, TaskId, TaskRef},
    join::{JoinError, JoinHandle},
    runtime,
    sync::{Mutex, MutexGuard},
    task,
};
use greenlight_core::park::{self, Stopped, Why};
use std::{
    any::Any,
    fmt,
    future::Future,
    marker::PhantomData,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Runs `f`, which may start green threads that borrow from outside of it, and waits for all of them.
///
/// It works on green threads and on OS threads, and inside other scopes.
///
/// # Panics
///
/// With the panic of `f`; else with the first panic of a green thread whose handle nobody joined. Not before all have ended:
/// the others run on, unless the [`ScopeBuilder`] says otherwise.
///
/// # Cancellation
///
/// If the green thread that calls is cancelled, all green threads of the scope are, and it unwinds when they have ended.
///
/// # Cost
///
/// One allocation, and beside [`go`](fn@crate::go) two short locks for each green thread.
///
/// # Examples
///
/// ```
/// let mut numbers = vec![1, 2, 3];
/// let mut sum = 0;
/// greenlight::scope(|s| {
///     s.spawn(|| sum = numbers.iter().sum());
///     s.spawn(|| assert_eq!(numbers.len(), 3));
/// });
/// numbers.push(sum);
/// assert_eq!(numbers, [1, 2, 3, 6]);
/// ```
///
/// No borrow escapes: neither of what the closure itself owns, nor by a handle, nor by the scope.
///
/// ```compile_fail,E0373
/// greenlight::scope(|s| {
///     let inside = 1;
///     s.spawn(|| assert_eq!(inside, 1)); // `inside` ends before the wait
/// });
/// ```
///
/// ```compile_fail
/// let handle = greenlight::scope(|s| s.spawn(|| 1));
/// ```
///
/// ```compile_fail
/// let mut escaped = None;
/// greenlight::scope(|s| escaped = Some(s));
/// ```
///
/// ```compile_fail,E0499
/// let mut count = 0;
/// greenlight::scope(|s| {
///     s.spawn(|| count += 1);
///     s.spawn(|| count += 1);
/// });
/// ```
///
/// ```compile_fail,E0505
/// let text = String::from("borrowed");
/// greenlight::scope(|s| {
///     s.spawn(|| println!("{text}"));
///     drop(text);
/// });
/// ```
///
/// ```compile_fail,E0277
/// let shared = std::rc::Rc::new(1);
/// greenlight::scope(|s| {
///     s.spawn(|| println!("{shared}")); // another thread
/// });
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    ScopeBuilder::default().run(f)
}

/// How a [`scope`] treats its green threads.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing before `run`"]
pub struct ScopeBuilder {
    cancel_on_panic: bool,
}

impl ScopeBuilder {
    /// The first panic, of the closure or of a green thread, cancels all others. The closure itself is not disturbed.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{Scope, channel::never};
    ///
    /// let panic = std::panic::catch_unwind(|| {
    ///     Scope::builder().cancel_on_panic().run(|s| {
    ///         s.spawn(|| never::<()>().recv());
    ///         s.spawn(|| panic!("one of two"));
    ///     })
    /// });
    /// assert_eq!(*panic.unwrap_err().downcast_ref::<&str>().unwrap(), "one of two");
    /// ```
    pub fn cancel_on_panic(mut self) -> Self {
        self.cancel_on_panic = true;
        self
    }

    /// [`scope`], with these settings.
    #[track_caller]
    pub fn run<'env, F, T>(self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        let site = Location::caller();
        let members = Arc::new(Members { cancel_on_panic: self.cancel_on_panic, state: Mutex::default() });
        let scope = Scope { members: members.clone(), scope: PhantomData, env: PhantomData };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        let guard = AbortOnUnwind; // B1
        if result.is_err() && self.cancel_on_panic {
            members.cancel();
        }
        let cancelled = members.wait(site);
        std::mem::forget(guard);
        let value = result.unwrap_or_else(|payload| resume_unwind(payload));
        if let Some(payload) = members.take_panic() {
            resume_unwind(payload);
        }
        if cancelled {
            header::unwind();
        }
        value
    }
}

/// Nothing that the wait does unwinds. If it did all the same, what the children borrow would end before them.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// What a scope and its children share.
pub(crate) struct Members {
    cancel_on_panic: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    /// The newest member; the others by their `siblings`.
    newest: Option<TaskRef>,
    cancelled: bool,
    waker: Option<Waker>,
    /// The first panic that nobody joined, and how many there were: fewer than none, where a handle was quicker than its child's end.
    panic: Option<Box<dyn Any + Send>>,
    panics: isize,
}

// SAFETY: a task is a reference to memory that is shared by its own rules; the links of members are touched under the lock.
unsafe impl Send for State {}

impl Members {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the task is placed.
    pub(crate) fn enter(&self, task: TaskRef) {
        let mut state = self.lock();
        state.running += 1;
        let older = state.newest.replace(task);
        task.get().siblings.set([None, older]);
        if let Some(older) = older {
            let [_, next] = older.get().siblings.get();
            older.get().siblings.set([Some(task), next]);
        }
        let cancelled = state.cancelled;
        drop(state);
        if let Some(id) = task.get().id().filter(|_| cancelled) {
            task.cancel(id);
        }
    }

    /// The last that a child does. B2.
    pub(crate) fn leave(&self, task: TaskRef, panicked: bool) {
        let mut state = self.lock();
        let [newer, older] = task.get().siblings.take();
        match newer {
            None => state.newest = older,
            Some(newer) => newer.get().siblings.set([newer.get().siblings.get()[0], older]),
        }
        if let Some(older) = older {
            older.get().siblings.set([newer, older.get().siblings.get()[1]]);
        }
        state.panics += isize::from(panicked);
        drop(state);
        if panicked && self.cancel_on_panic {
            self.cancel();
        }
        let mut state = self.lock();
        state.running -= 1;
        let waker = if state.running == 0 { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Somebody has joined a child that panicked.
    pub(crate) fn joined(&self) {
        self.lock().panics -= 1;
    }

    /// A child panicked, and nobody has joined it.
    pub(crate) fn keep(&self, payload: Box<dyn Any + Send>) {
        let mut state = self.lock();
        let later = match state.panic {
            None => {
                state.panic = Some(payload);
                None
            }
            Some(_) => Some(payload),
        };
        drop(state);
        header::discard(|| drop(later));
    }

    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = self.lock();
        let unheard = state.panics > 0;
        let kept = state.panic.take().filter(|_| unheard);
        // The handle that has it was forgotten.
        kept.or_else(|| unheard.then(|| Box::new("a green thread of a scope panicked") as _))
    }

    /// Asks all children to end, those too that are yet to come.
    fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        let mut all = Vec::with_capacity(state.running);
        let mut next = state.newest;
        while let Some(task) = next {
            all.extend(task.get().id().map(|id| (task, id)));
            next = task.get().siblings.get()[1];
        }
        drop(state);
        // Some may have ended meanwhile: K6.
        all.into_iter().for_each(|(task, id)| task.cancel(id));
    }

    /// Waits until no child is left. True if the caller was cancelled meanwhile, or before: then so are they.
    fn wait(&self, site: &'static Location<'static>) -> bool {
        let why = Why { what: "wait for the green threads of a scope", object: 0, site };
        let mut poll = |waker: &Waker| {
            let mine = waker.clone();
            let mut state = self.lock();
            if state.running == 0 {
                return Poll::Ready(());
            }
            let old = state.waker.replace(mine);
            drop(state);
            drop(old);
            Poll::Pending
        };
        let cancelled = park::wait_or_stop(&why, None, &mut poll) == Err(Stopped::Cancelled);
        if cancelled {
            self.cancel();
            let _ = park::wait_out(&why, None, &mut poll);
        }
        cancelled
    }
}

/// Where green threads are started that may borrow. Made by [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    members: Arc<Members>,
    /// Invariant: neither can be made to fit something else.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl Scope<'_, '_> {
    /// Settings for a new scope.
    pub fn builder() -> ScopeBuilder {
        ScopeBuilder::default()
    }

    /// Asks all green threads of the scope to end, those too that it starts from now on.
    pub fn cancel(&self) {
        self.members.cancel();
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts `f` as a green thread of the scope. See [`go`](fn@crate::go).
    ///
    /// # Panics
    ///
    /// If there is no memory for another stack; `f` is dropped.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.spawn_with(task::Builder::new(), f)
    }

    /// [`spawn`](Self::spawn), with a name or other settings.
    ///
    /// # Panics
    ///
    /// As for [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_with<F, T>(&'scope self, builder: task::Builder, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let spawn = Spawn { scope: Some(self.members.clone()), ..builder.into_spawn() };
        // SAFETY: B1 and B2: what lives for `'scope` outlives the child, and its handle.
        let outcome: Outcome<T> = unsafe { runtime::here().spawn_borrowing(spawn, f) };
        ScopedJoinHandle { handle: JoinHandle::new(outcome), scope: PhantomData }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &self.members.lock().running).finish_non_exhaustive()
    }
}

/// [`JoinHandle`] of a green thread of a [`scope`]. Whoever joins it answers for its panic; else the scope does.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// See [`JoinHandle::join`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// See [`JoinHandle::join_timeout`].
    #[track_caller]
    pub fn join_timeout(&mut self, limit: Duration) -> Option<Result<T, JoinError>> {
        self.handle.join_timeout(limit)
    }

    /// See [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// See [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// See [`JoinHandle::id`].
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// See [`JoinHandle::name`].
    pub fn name(&self) -> Option<&str> {
        self.handle.name()
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

#[cfg(all(test, loom))]
mod models;
