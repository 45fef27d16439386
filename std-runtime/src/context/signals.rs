//! A context that a signal ends.

use super::{Cancel, Cause, Context, ContextError, End, children::Child};
use crate::signal::{Signal, Signalled, listen};
use std::{
    io,
    panic::Location,
    sync::{Arc, Mutex, PoisonError},
};

impl Context {
    /// A child that also ends when one of these signals comes. [`cause`](Self::cause) is a [`Signalled`] then. Go's
    /// `signal.NotifyContext`.
    ///
    /// It listens until the context has ended, in whatever way, or nobody has it any more. From then on the signals have their usual
    /// effect again: so the first Ctrl-C asks the program to end, and a second one, while it is still at it, ends it at once.
    ///
    /// # Errors
    ///
    /// As for [`signal::notify`](crate::signal::notify).
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// use greenlight::{context::Context, signal::{self, Signal, Signalled}};
    ///
    /// let (ctx, _cancel) = Context::background().with_signals(&[Signal::INTERRUPT, Signal::TERMINATE])?;
    /// # signal_hook::low_level::raise(Signal::TERMINATE.as_raw())?;
    /// ctx.wait(); // for `kill`, say
    /// assert_eq!(ctx.cause().unwrap().downcast_ref(), Some(&Signalled(Signal::TERMINATE)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn with_signals(&self, signals: &[Signal]) -> io::Result<(Self, Cancel)> {
        let site = Location::caller();
        let (ctx, cancel) = self.with_cancel();
        let node = Arc::downgrade(&cancel.node);
        // Taken and dropped by the first signal, or by another end, or with the node.
        let listening = Arc::new(Mutex::new(None));
        let take = |listening: &Mutex<Option<_>>| listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mine = Arc::downgrade(&listening);
        let listens = listen(
            signals,
            Arc::new(move |signal| {
                // Before anybody can know of the end: who sees it and sends another one is to find the usual effect.
                drop(mine.upgrade().and_then(|listening| take(&listening)));
                if let Some(node) = node.upgrade() {
                    let cause: Cause = Arc::new(Signalled(signal));
                    node.finish(End { error: ContextError::Cancelled, cause: Some(cause), site });
                }
            }),
        )?;
        *listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(listens);
        // Dropped here, if it has ended already.
        let _ = cancel.node.put(|_| Child::Call(Box::new(move || drop(take(&listening))), None));
        Ok((ctx, cancel))
    }
}
