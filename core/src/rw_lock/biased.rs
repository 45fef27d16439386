//! A lock that many threads read and hardly anybody writes: its readers do not meet in the word.
//!
//! ```text
//!   read      BIASED: take a slot of the table (`slots.rs`); BIASED still: come in
//!                     else give it back, and ask the word
//!   leave     give the slot back; if it is empty: one reader less in the word
//!   revoke    BIASED becomes one reader, the revoker, in one step; who stands in a slot is counted in the word, and then
//!             the slot is emptied; leave, like any reader
//! ```
//!
//! * B1  BIASED is in the word only without WRITER and QUEUED: who would enter as a writer revokes first, and QUEUED takes its place
//!   in one step, by a revoker. While the revoker is counted, nobody writes. So the lock's protocol does not know the table,
//!   but for that.
//! * B2  Every reader is counted, in a slot or in the word, and every revoker in the word; for a moment some are counted twice,
//!   never one less. Which reader a count belongs to does not matter: who finds its slot empty takes one from the word, though
//!   it may be that another gave the slot as its own.
//! * B3  A reader takes its slot, and looks at BIASED then; a revoker takes BIASED away, and looks at the slots then. So the
//!   reader sees that BIASED is gone, or is seen; or both, and then it was moved, and has come in.
//! * B4  It pays only where reads meet: after some 128 that found another reader in the word, or were not quick enough for it, with
//!   no write in between. A write to a biased lock costs a walk through the table; then so many readers must meet again.

use super::{Access, Manners, raw::RawRwLock, slots::Place, state::Seen};

impl RawRwLock {
    /// Comes in as a reader, if nobody is in line or in the way.
    #[inline]
    pub(super) fn read_at_once(&self) -> Option<Place> {
        match self.state.read_at_once() {
            Ok(seen) => {
                if seen.is_read() {
                    self.met_another();
                }
                Some(Place::WORD)
            }
            Err(seen) => self.read_by_other_ways(seen),
        }
    }

    /// Two readers in the word at a time (B4).
    #[inline(never)]
    fn met_another(&self) {
        if self.bias.counts_meeting() {
            self.begin_bias();
        }
    }

    #[inline(never)]
    fn read_by_other_ways(&self, seen: Seen) -> Option<Place> {
        if seen.is_biased()
            && let Some(place) = self.read_by_slot()
        {
            return Some(place);
        }
        let entered = self.state.enter_after(seen, Access::Read, Manners::InLine);
        if entered && !seen.is_biased() {
            self.met_another(); // who was quicker
        }
        entered.then_some(Place::WORD)
    }

    #[inline]
    fn read_by_slot(&self) -> Option<Place> {
        let place = self.bias.take_slot()?;
        if self.state.is_still_biased() {
            return Some(place);
        }
        // B3: moved, if it is not there any more.
        (!self.bias.give_slot(place)).then_some(Place::WORD)
    }

    /// # Safety
    ///
    /// The caller is a reader, counted there when it came in, and does not touch the value again.
    #[inline]
    pub(super) unsafe fn leave_place(&self, place: Place) {
        if place.is_word() || !self.bias.give_slot(place) {
            // SAFETY: the caller's promise, and B2.
            unsafe { self.leave(Access::Read) };
        }
    }

    /// From here on readers stand in the table, unless somebody writes or waits.
    pub(super) fn begin_bias(&self) {
        if self.bias.name() {
            self.state.set_bias();
        }
    }

    /// Ends the bias of a lock that has one.
    #[cold]
    pub(super) fn revoke(&self) {
        if self.state.take_bias() {
            self.move_readers();
        }
    }

    /// Moves the readers from the table into the word. The caller is the revoker: it has taken the bias, and is counted for that
    /// until here.
    pub(super) fn move_readers(&self) {
        self.bias.forget_meetings();
        // SAFETY: B2, each time it takes back a count of ours: one that a reader who left by itself does not need, or the revoker's.
        let leave = || unsafe { self.leave(Access::Read) };
        for taken in self.bias.taken_slots() {
            // First counted, then moved: between them it might leave, and would take the count of another, even ours.
            self.state.move_in();
            if !taken.clear() {
                leave();
            }
        }
        leave();
    }
}
