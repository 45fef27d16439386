//! An async initialiser: waiting for the right to run, then running.
//!
//! ```text
//!   Enter(f) ──── the right is ours ────▶ Run(right, future) ──── ready ────▶ Over
//!      └──────────── done by another ────────────────────────────────────────▶┘
//! ```
//!
//! * I1  The right is in the stage between the polls and on the stack of `poll` during one: a panic in the future gives
//!   it back at once, a drop of the whole does, too.

use super::{Entering, Entry, Once, Running};
use core::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

pub(crate) struct Init<'a, F, Fut> {
    entering: Entering<'a>,
    stage: Stage<'a, F, Fut>,
}

enum Stage<'a, F, Fut> {
    Enter(F),
    /// The right is missing while the future is polled, and after it panicked.
    Run(Fut, Option<Running<'a>>),
    Over,
}

impl<'a, F, Fut> Init<'a, F, Fut> {
    pub(crate) fn new(once: &'a Once, f: F) -> Self {
        Self { entering: once.entering(), stage: Stage::Enter(f) }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

impl<'a, F, Fut> Init<'a, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    /// What the initialiser made, with the right to say that it is done; nothing if it was done by another.
    pub(crate) fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<(Running<'a>, Fut::Output)>> {
        // SAFETY: `entering` and the future in `stage` are pinned whenever we are: neither is moved, and the future is
        // dropped in its place.
        let this = unsafe { self.get_unchecked_mut() };
        if let Stage::Enter(_) = this.stage {
            // SAFETY: as above.
            let entry = ready!(unsafe { Pin::new_unchecked(&this.entering) }.poll(context.waker()));
            let Stage::Enter(f) = mem::replace(&mut this.stage, Stage::Over) else { unreachable!() };
            match entry {
                Entry::Done => return Poll::Ready(None),
                Entry::Mine(running) => this.stage = Stage::Run(f(), Some(running)),
            }
        }
        let Stage::Run(future, right) = &mut this.stage else {
            panic!("the future of a once was polled after it was ready");
        };
        let running = right.take().expect("the future of a once was polled after its initialiser panicked");
        // SAFETY: as above.
        match unsafe { Pin::new_unchecked(future) }.poll(context) {
            Poll::Pending => {
                *right = Some(running);
                Poll::Pending
            }
            Poll::Ready(made) => {
                this.stage = Stage::Over;
                Poll::Ready(Some((running, made)))
            }
        }
    }
}
