//! What a channel asks of the buffer between its two lines of waiters, whatever the buffer is made of.
//!
//! | buffer      | holds        | a peer that stops for ever inside a call                          |
//! |-------------|--------------|-------------------------------------------------------------------|
//! | `Ring`      | up to `n`    | may hide what stands behind its slot; the others still return      |
//! | `Pool`      | up to `n`    | keeps one place; everything else passes                            |
//! | `Segments`  | any number   | keeps one place; everything else passes                            |
//!
//! * B1  Values leave in the order in which their pushes took effect, each once.
//! * B2  No call waits, and none calls foreign code, not even a value's drop.
//! * B3  After `close`, no push takes effect; `pop` says `Disconnected` once everything that was pushed before is out.
//! * B4  A push, and a pop, takes effect by a SeqCst read-modify-write, or is followed by one, of a word that `may_pop`,
//!   and `may_push`, reads SeqCst. So of two who meet, one who announces SeqCst that he waits and then asks
//!   `may_pop`, and one who pushes and then asks SeqCst whether anybody waits, one at least sees the other. The same holds
//!   for `may_push` and a pop, and for both and `close`.

use super::error::{TryRecvError, TrySendError};
use crate::park::Tick;

pub trait Buffer<T> {
    /// A place in the buffer that somebody reserved: to be filled, or given back.
    type Place: Copy;

    /// Adds `value` at the end. `Full` if there is no place.
    fn push(&self, value: T) -> Result<(), TrySendError<T>>;

    /// Takes the first value. `Empty` also if the first place is still being filled (`Ring` only).
    fn pop(&self) -> Result<T, TryRecvError>;

    /// Takes a place, for a value that does not exist yet. `Full` or `Disconnected`.
    fn reserve(&self) -> Result<Self::Place, TrySendError<()>>;

    /// Ends a reservation by a push. Gives the value back if the buffer was closed meanwhile.
    ///
    /// # Safety
    ///
    /// `place` comes from `reserve` of this buffer, and is used up.
    unsafe fn fill(&self, place: Self::Place, value: T) -> Result<(), T>;

    /// Ends a reservation without a value.
    ///
    /// # Safety
    ///
    /// As for [`fill`](Self::fill).
    unsafe fn give_back(&self, place: Self::Place);

    /// No push from now on. True for the one call that closed it.
    fn close(&self) -> bool;

    fn is_closed(&self) -> bool;

    /// How many values it can hold; `usize::MAX` if there is no limit.
    fn capacity(&self) -> usize;

    /// How many values are in it. Those on their way in count in a `Ring`, as do places reserved, and in `Segments`, though
    /// a broken cell may send them elsewhere.
    fn len(&self) -> usize;

    /// False only if there was a moment, during the call, in which nothing was in it, and it was not closed. In a `Ring` a
    /// place that is being filled counts as a value.
    fn may_pop(&self) -> bool;

    /// False only if there was a moment, during the call, in which no place was free, and it was not closed.
    fn may_push(&self) -> bool;

    /// Whether a pop would find a value, or the end: unlike `may_pop`, not while the value is still on its way. It may make
    /// room, by passing over places that were given back.
    fn can_pop(&self) -> bool {
        self.may_pop()
    }

    /// Whether a push would find a place, or be refused: not while the place is still being emptied.
    fn can_push(&self) -> bool {
        self.may_push()
    }

    /// A number that changes with every pop that takes effect: a buffer that is found empty twice, with the same number, was
    /// empty all the while.
    fn pops(&self) -> usize;

    /// The same for pushes, and for being found full.
    fn pushes(&self) -> usize;

    /// Whether it holds nothing by design, and a value goes from hand to hand.
    fn is_rendezvous(&self) -> bool {
        false
    }

    /// For a rendezvous: two have met. Under the lock of the lines.
    fn met(&self) {}

    /// For a rendezvous: takes back a value from a receiver that was dropped before it looked. Of other buffers, receivers
    /// that may be dropped take nothing before they look.
    fn take_back(&self, _: T) {}

    /// Whether nothing ever comes.
    fn is_never(&self) -> bool {
        false
    }

    /// When a value will be there that nobody sends: the channel of a timer.
    fn ripe_at(&self) -> Option<Tick> {
        None
    }

    /// For models: writes each word once more, SeqCst, and changes nothing (see `models.rs`).
    #[cfg(all(test, loom))]
    fn touch(&self) {}
}

#[cfg(all(test, loom))]
mod models;
