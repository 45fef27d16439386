//! The handle of a green thread, and how one ends that brings no value.

use crate::{
    header::{Ending, Outcome, TaskId},
    stackless,
};
use greenlight_core::park::{self, Tick, Why};
use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe, resume_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Waits for a green thread, or a future that runs as a task, and takes its result. Dropping it leaves that running on its own.
///
/// It is a [`Future`], too: `handle.await`, and in a select `wait(handle) -> result => …` or, to keep it for later,
/// `wait(&mut handle) -> result => …`. Dropping it as a future is dropping the handle.
///
/// # Examples
///
/// ```
/// let answer = greenlight::go(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
///
/// ```
/// use greenlight::{channel::bounded, go, select};
///
/// let (stop, stopped) = bounded::<()>(0);
/// let mut work = go(|| 6 * 7);
/// select! {
///     recv(stopped) -> _ => work.cancel(),
///     wait(&mut work) -> result => assert_eq!(result.unwrap(), 42),
/// }
/// # drop(stop);
/// ```
pub struct JoinHandle<T> {
    of: Of<T>,
}

enum Of<T> {
    Green(Outcome<T>),
    Future(stackless::Handle<T>),
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(outcome: Outcome<T>) -> Self {
        Self { of: Of::Green(outcome) }
    }

    pub(crate) fn of_future(future: stackless::Handle<T>) -> Self {
        Self { of: Of::Future(future) }
    }

    /// Waits until the green thread has ended.
    ///
    /// # Errors
    ///
    /// If it panicked, with the panic's payload, which the panic hook has reported already; or if it was cancelled.
    ///
    /// # Panics
    ///
    /// If the result was taken before, by [`join_timeout`](Self::join_timeout) or as a future.
    ///
    /// # Cancellation
    ///
    /// If the caller is cancelled while it waits, the handle is dropped, and the green thread runs on.
    ///
    /// # Cost
    ///
    /// If it has ended: one load. Else one park.
    #[track_caller]
    pub fn join(mut self) -> Result<T, JoinError> {
        self.wait(None, Location::caller()).expect("no time limit")
    }

    /// Waits until the green thread has ended, for `limit` at most. `None` if the time is up: the handle is as before.
    /// With [`Duration::ZERO`] it does not wait.
    ///
    /// # Errors, panics, cancellation
    ///
    /// As for [`join`](Self::join); but cancelled, the caller keeps the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = greenlight::channel::bounded(1);
    /// let mut task = greenlight::go(move || rx.recv());
    /// assert!(task.join_timeout(Duration::from_millis(1)).is_none());
    /// tx.send(5).unwrap();
    /// assert_eq!(task.join().unwrap(), Ok(5));
    /// ```
    #[track_caller]
    pub fn join_timeout(&mut self, limit: Duration) -> Option<Result<T, JoinError>> {
        self.wait(Some(park::deadline_after(limit)?), Location::caller())
    }

    /// Asks the green thread to end, and does not wait for it. Any number of times, also after its end.
    ///
    /// It unwinds, as by a panic but without a word, at the next point where it would sleep, or at its next
    /// [`yield_now`](crate::yield_now) or [`check_cancelled`](crate::task::check_cancelled). Its destructors run, and
    /// [`join`](Self::join) says that it was cancelled. If it catches the unwinding, the next such point unwinds again; if its
    /// closure returns all the same, its value is its result. A green thread that has not started drops its closure.
    ///
    /// What it was waiting for is as if it had not come: no value and no permit is lost. It does not unwind inside a
    /// [`shield`](crate::task::shield), nor in a wait of a destructor that runs while it unwinds: that one blocks the worker.
    ///
    /// A future is dropped instead of being polled again; a blocking call inside its poll unwinds as above.
    ///
    /// # Cost
    ///
    /// A compare-exchange, and a wake-up.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{channel::bounded, go};
    ///
    /// let (tx, rx) = bounded::<u32>(0);
    /// let task = go(move || rx.recv());
    /// task.cancel();
    /// assert!(task.join().unwrap_err().is_cancelled());
    /// assert!(tx.send(1).is_err()); // the receiver went with it
    /// ```
    pub fn cancel(&self) {
        match &self.of {
            Of::Green(outcome) => outcome.task().cancel(outcome.id()),
            Of::Future(future) => future.cancel(),
        }
    }

    /// Whether the green thread has ended, so that [`join`](Self::join) would not wait.
    pub fn is_finished(&self) -> bool {
        match &self.of {
            Of::Green(outcome) => outcome.task().has_ended(),
            Of::Future(future) => future.has_ended(),
        }
    }

    /// The green thread's number, which reports show.
    pub fn id(&self) -> TaskId {
        match &self.of {
            Of::Green(outcome) => outcome.id(),
            Of::Future(future) => future.id,
        }
    }

    /// The name that its [`Builder`](crate::task::Builder) gave it.
    pub fn name(&self) -> Option<&str> {
        match &self.of {
            Of::Green(outcome) => outcome.name(),
            Of::Future(future) => future.name(),
        }
    }

    /// None if the time is up.
    fn wait(&mut self, deadline: Option<Tick>, site: &'static Location<'static>) -> Option<Result<T, JoinError>> {
        if !self.is_finished() {
            let what = match self.of {
                Of::Green(_) => "join a green thread",
                Of::Future(_) => "join a future",
            };
            let _ = park::wait(&Why { what, object: 0, site }, deadline, &mut |waker| self.poll_end(waker));
        }
        self.is_finished().then(|| self.take())
    }

    fn poll_end(&mut self, waker: &Waker) -> Poll<()> {
        match &mut self.of {
            Of::Green(outcome) => outcome.poll_end(waker),
            Of::Future(future) => future.poll_end(waker),
        }
    }

    /// It has ended.
    fn take(&mut self) -> Result<T, JoinError> {
        let ending = match &mut self.of {
            Of::Green(outcome) => outcome.deliver(),
            Of::Future(future) => future.take(),
        };
        let cause = match ending.expect("the result of a task was taken before") {
            Ending::Value(value) => return Ok(value),
            Ending::Panic(payload) => Cause::Panic(payload),
            Ending::Cancelled => Cause::Cancelled,
        };
        Err(JoinError { id: self.id(), cause })
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_end(cx.waker()).map(|()| self.take())
    }
}

// A handle shows nothing of a panicked task but its payload.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("JoinHandle");
        debug.field("id", &self.id()).field("name", &self.name()).field("is_finished", &self.is_finished()).finish()
    }
}

/// A green thread ended without a value: it panicked, or was cancelled.
///
/// # Examples
///
/// ```
/// let error = greenlight::go(|| panic!("over")).join().unwrap_err();
/// assert!(error.is_panic());
/// assert_eq!(error.message(), Some("over"));
/// ```
pub struct JoinError {
    id: TaskId,
    cause: Cause,
}

enum Cause {
    Panic(Box<dyn Any + Send>),
    Cancelled,
}

// SAFETY: a shared error reads the payload only if it is a string, which is Sync.
unsafe impl Sync for JoinError {}
// As for the handle.
impl UnwindSafe for JoinError {}
impl RefUnwindSafe for JoinError {}

impl JoinError {
    /// Whether it panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panic(_))
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// The number of the green thread.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// What the panic said, if it is a text.
    pub fn message(&self) -> Option<&str> {
        let Cause::Panic(payload) = &self.cause else { return None };
        let text = payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }

    /// The panic's payload.
    ///
    /// # Errors
    ///
    /// If it did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panic(payload) => Ok(payload),
            Cause::Cancelled => Err(self),
        }
    }

    /// The panic's payload.
    ///
    /// # Panics
    ///
    /// If it did not panic.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic().unwrap_or_else(|error| panic!("JoinError::into_panic: {error}"))
    }

    /// Panics in the caller with the same payload; if the green thread was cancelled, with words that say so.
    ///
    /// # Panics
    ///
    /// Always.
    ///
    /// # Examples
    ///
    /// ```should_panic
    /// let task = greenlight::go(|| panic!("over"));
    /// task.join().unwrap_or_else(|error| error.resume())
    /// ```
    #[track_caller]
    pub fn resume(self) -> ! {
        match self.cause {
            Cause::Panic(payload) => resume_unwind(payload),
            Cause::Cancelled => panic!("{self}"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} ", self.id)?;
        match (&self.cause, self.message()) {
            (Cause::Cancelled, _) => f.write_str("was cancelled"),
            (Cause::Panic(_), Some(message)) => write!(f, "panicked: {message}"),
            (Cause::Panic(_), None) => f.write_str("panicked"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}
