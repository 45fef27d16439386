//! A context that a signal ends.

use super::{Cancel, Cause, Context, ContextError, End, children::Child};
use crate::signal::{Signal, Signalled, listen};
use std::{io, panic::Location, sync::Arc};

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
        let listening = listen(
            signals,
            Arc::new(move |signal| {
                if let Some(node) = node.upgrade() {
                    let cause: Cause = Arc::new(Signalled(signal));
                    node.finish(End { error: ContextError::Cancelled, cause: Some(cause), site });
                }
            }),
        )?;
        // Dropped by the call, or with the node, or here, if it has ended already.
        let _ = cancel.node.put(|_| Child::Call(Box::new(move || drop(listening)), None));
        Ok((ctx, cancel))
    }
}
