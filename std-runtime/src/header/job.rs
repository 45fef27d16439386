//! The closure of a task, and how it ends.

use super::TaskRef;
use crate::{
    locals,
    scope::Members,
    sync::{Cell, UnsafeCell},
};
use std::{
    any::Any,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

/// With what a cancelled task unwinds.
struct Cancellation;

/// How a closure ended.
pub(crate) enum Ending<T> {
    Value(T),
    Panic(Box<dyn Any + Send>),
    Cancelled,
}

impl<T> Ending<T> {
    pub(crate) fn of(result: thread::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(payload) if payload.is::<Cancellation>() => Self::Cancelled,
            Err(payload) => Self::Panic(payload),
        }
    }
}

/// Ends the calling green thread, which is cancelled, by unwinding. Silent: the panic hook is not asked.
pub(crate) fn unwind() -> ! {
    resume_unwind(Box::new(Cancellation))
}

/// The closure of a task, then its result.
pub(super) struct Job<F, T> {
    pub(super) closure: Cell<Option<F>>,
    pub(super) result: UnsafeCell<Option<Ending<T>>>,
}

/// # Safety
///
/// `job` is a `Job<F, T>` that has not run, and `this` its task, which calls.
pub(super) unsafe fn run_job<F: FnOnce() -> T, T>(job: *mut (), this: TaskRef) {
    // SAFETY: the caller's promise.
    let job = unsafe { &*job.cast::<Job<F, T>>() };
    let task = this.get();
    let closure = job.closure.take().expect("a closure that has not run");
    let result = catch_unwind(AssertUnwindSafe(|| {
        if task.is_cancelled() {
            crate::task::shield(|| drop(closure)); // nobody wanted it to begin
            unwind();
        }
        closure()
    }));
    if let Some(all) = task.locals() {
        task.raise_shield();
        // SAFETY: this task's, whose closure has ended.
        unsafe { locals::end(task, all) };
    }
    let result = Ending::of(result);
    let panicked = matches!(result, Ending::Panic(_));
    // SAFETY: nobody looks at the result before ENDED is set.
    job.result.with_mut(|place| unsafe { *place = Some(result) });
    // SAFETY: by the task, once.
    let (joiner, detached) = unsafe { task.fate().end() };
    if let Some(joiner) = joiner {
        discard(|| joiner.wake());
    }
    let scope = task.take_scope();
    if detached {
        // SAFETY: detached, so nobody else looks at it any more.
        let result = job.result.with_mut(|result| unsafe { (*result).take() });
        abandon(result, scope.as_deref());
    }
    // Nothing of the program's is left: what the closure borrowed may end.
    if let Some(scope) = scope {
        scope.leave(this, panicked);
    }
}

/// Drops a result that nobody wants; but a scope wants to know of a panic.
pub(super) fn abandon<T>(result: Option<Ending<T>>, scope: Option<&Members>) {
    match (result, scope) {
        (Some(Ending::Panic(payload)), Some(scope)) => scope.keep(payload),
        (result, _) => discard(|| drop(result)),
    }
}

/// Runs code of the program's at a point where a panic has nowhere to go. The hook has reported it; the payload is leaked,
/// since its drop may panic as well.
pub(crate) fn discard(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        std::mem::forget(payload);
    }
}

/// # Safety
///
/// `job` came from `Box::<Job<F, T>>::new_uninit`, and holds neither closure nor result any more.
pub(super) unsafe fn free_boxed_job<F, T>(job: *mut ()) {
    // SAFETY: the caller's promise; `MaybeUninit` drops nothing.
    drop(unsafe { Box::from_raw(job.cast::<MaybeUninit<Job<F, T>>>()) });
}
