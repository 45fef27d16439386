//! An unbounded buffer: a chain of segments, whose cells senders fill and receivers empty in the order of their claims.
//!
//! ```text
//!        head: segment, cells claimed                        tail: segment, cells claimed, closed?
//!          │                                                   │
//!          ▼                                                   ▼
//!   ┌─ segment ─────────────┐  next   ┌─ segment ─────────┐  next   ┌─ segment ─────────────┐  next
//!   │ done  BROKEN  ▸  FULL │────────▶│ FULL  FULL   FULL │────────▶│ FULL  EMPTY  ▸  EMPTY │────────▶ null
//!   └───────────────────────┘         └───────────────────┘         └───────────────────────┘
//!
//!                  sender                          finished by
//!         ┌──────────────────────▶ FULL     its receiver, who takes the value
//!   EMPTY ┤
//!         └──────────────────────▶ BROKEN   its sender, who tries again elsewhere
//!             impatient receiver
//! ```
//!
//! * G1  `head` and `tail` only go forward: a cell at a time, and from a segment's end to its `next`, of which `tail`
//!   takes the first cell in the same step. `head` leaves a segment only after `tail` has.
//! * G2  Who moves `tail` over a cell is its one sender; who moves `head` over it is its one receiver.
//! * G3  A cell leaves EMPTY once, and then its value is its receiver's (FULL) or back with its sender (BROKEN). The
//!   other of the two, who did not change it, finishes it: then nobody touches its value.
//! * G4  A segment ends by a *sweep* over its cells, which whoever moves `head` over its link begins. It stops at a cell that
//!   is not finished, and who finishes that goes on. Who comes to the end owns the segment. So a claim keeps its segment,
//!   and so does a word that points to it.
//! * G5  Who looks into a segment without a claim is a visitor: counts itself, *then* reads `head` or `tail`, and goes
//!   no further than the segment it finds there. A segment is freed, or used again, by someone who alone owns it and
//!   *then* sees no visitor: later ones do not find it. While a visitor stays, no address it has found comes to mean
//!   another segment.
//! * G6  For anybody else, an address may have come back. A claim does not mind: it says "the next cell of this segment
//!   is mine", true of whatever segment is there now. At worst, a receiver whose look at `tail` was at an earlier
//!   segment claims a cell before its sender; it breaks it, or gets the value, and in either case it is a receiver that
//!   came early. "Nothing is there" does mind: see `ended` in `limbo.rs`.
//!
//! **Order.** A push takes effect when `tail` is moved over its cell, a pop when both words are past its cell: both are
//! in the order of cells, and a broken cell is nobody's. "Empty" is a moment in which `head` is not before `tail`.
//!
//! **Progress.** Lock-free, as far as the allocator is: wherever a thread stops for ever, the others finish. A word
//! that does not move for one has moved for another. A stopped sender's cell is broken, a stopped receiver keeps one
//! value, and a segment that is linked but not yet in `tail` is moved there by anyone. Senders whose cells are broken
//! again and again run to the end of the segment, and whoever links the next has its value in it, where nobody can
//! break it. A visitor that stops for ever keeps retired segments from being freed, and nothing else.
//!
//! **Addresses as integers.** The words hold exposed addresses, not tagged pointers: the new value of a claim is made
//! from the expected one, which may have been read when another segment was at that address, and a pointer to *that*
//! would stay in the word.
//!
//! Not a count of what is unfinished in a segment: all receivers would write to it.
//!
//! Not `fetch_add` for the claims: it would run past the end of a segment, or need a segment that is never freed. Not
//! hazard pointers or epochs: they want a register of threads, which a bare machine and a green thread do not have.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
    padded::Padded,
    shared::drain,
};
use crate::sync::{
    atomic::{AtomicPtr, AtomicUsize, Ordering::*},
    model_fence,
};
use core::{marker::PhantomData, ptr};
use limbo::Limbo;
use segment::{CELLS, CLOSED, Segment, address, count};

mod limbo;
mod segment;

/// Nothing between the two.
#[inline]
fn is_drained(head: usize, tail: usize) -> bool {
    address(head) == address(tail) && count(head) >= count(tail)
}

/// A queue without a limit. See the top of the file.
pub struct Segments<T> {
    head: Padded<Head>,
    /// | operation     | order            | pairs with    | so that                                                  |
    /// |---------------|------------------|---------------|----------------------------------------------------------|
    /// | claim, go on  | SeqCst / Acquire | claim, visit, | as for `head`; and B4; refused `go on`: B4, through whom |
    /// |               |                  | look          | it was refused by                                        |
    /// | close         | SeqCst           | look, glance  | B4; who is refused sees what the closer did              |
    /// | glance (push) | Acquire          | close         | the same                                                 |
    /// | glance (pop)  | Relaxed          | nothing       | a claim, or a thorough look, does the rest               |
    /// | look, visit   | SeqCst           | claim, close  | B4; `ended`; G5                                          |
    /// | is it past?   | Acquire          | go on         | `head` follows after, and finds the link and the segment |
    tail: Padded<AtomicUsize>,
    /// The link to the first segment: as `next` in a segment.
    first: Padded<AtomicPtr<Segment<T>>>,
    limbo: Limbo<T>,
    _owns: PhantomData<T>,
}

// SAFETY: by G2 and G3 each value moves whole from its sender's thread to one other.
unsafe impl<T: Send> Send for Segments<T> {}
// SAFETY: the same; a `&Segments` never yields a `&T`.
unsafe impl<T: Send> Sync for Segments<T> {}

/// The receivers' own cache line.
struct Head {
    /// | operation    | order            | pairs with   | so that                                                    |
    /// |--------------|------------------|--------------|------------------------------------------------------------|
    /// | claim, go on | SeqCst / Relaxed | claim, visit | the receiver sees the segment; a visitor counted after its |
    /// |              |                  |              | segment was retired does not find it here (G5)             |
    /// | glance       | Relaxed          | nothing      | a claim, or a thorough look, does the rest                 |
    /// | look, visit  | SeqCst           | claim, go on | `ended`; G5                                                |
    word: AtomicUsize,
    /// `tail`, as some receiver saw it: as long as `head` is behind that, nobody has to fetch the senders' cache line.
    /// Relaxed: at worst it is of another segment at that address, and G6 holds.
    seen: AtomicUsize,
}

/// What somebody sees who looks between `head` and `tail`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Look {
    Something,
    Nothing,
    /// And nothing will come.
    End,
}

impl<T> Segments<T> {
    /// An open, empty queue. The first push allocates.
    pub(crate) fn new() -> Self {
        // Before the first segment there is one without an address, of which all cells are done.
        let word = || AtomicUsize::new(CELLS);
        let head = Padded(Head { word: word(), seen: word() });
        let first = Padded(AtomicPtr::new(ptr::null_mut()));
        Self { head, tail: Padded(word()), first, limbo: Limbo::new(), _owns: PhantomData }
    }

    /// Puts `value` into the cell that the caller moved `tail` over, from `claimed`. Gives it back if the cell is
    /// broken.
    ///
    /// # Safety
    ///
    /// The claim is the caller's and this is its one use.
    #[inline]
    unsafe fn fill_cell(&self, claimed: usize, value: T) -> Result<(), T> {
        let segment = Segment::at(claimed);
        // SAFETY: G4: the claim keeps the segment; G2: we are the sender; G3: refused, we finish the cell.
        unsafe {
            let filled = Segment::in_use(segment).cells[count(claimed)].fill(value);
            if filled.is_err() && Segment::finish(segment, count(claimed)) {
                self.limbo.retire(segment);
            }
            filled
        }
    }

    /// Takes the value from the cell that the caller moved `head` over, from `claimed`. None if its sender is too slow.
    ///
    /// # Safety
    ///
    /// As for `fill_cell`.
    #[inline]
    unsafe fn empty_cell(&self, claimed: usize) -> Option<T> {
        let segment = Segment::at(claimed);
        // SAFETY: G4: the claim keeps the segment; G2: we are the receiver; G3: with a value, we finish the cell.
        unsafe {
            let taken = Segment::in_use(segment).cells[count(claimed)].empty();
            if taken.is_some() && Segment::finish(segment, count(claimed)) {
                self.limbo.retire(segment);
            }
            taken
        }
    }

    /// Adds a segment with `value` in it at the end, or helps somebody who is about to. Gives the value back if the
    /// tail has a free cell now, or is closed.
    #[cold]
    fn grow(&self, value: T) -> Result<(), T> {
        let _visit = self.limbo.visit();
        let tail = self.tail.0.load(SeqCst);
        if tail & CLOSED != 0 || count(tail) != CELLS {
            return Err(value);
        }
        // SAFETY: visitor, G5.
        let (link, base) = unsafe { (self.link(tail), self.position(tail)) };
        let next = link.load(Acquire);
        if !next.is_null() {
            _ = self.tail.0.compare_exchange(tail, next.addr() | 1, SeqCst, Acquire);
            return Err(value);
        }
        let fresh = self.limbo.make(base, value);
        if let Err(next) = link.compare_exchange(ptr::null_mut(), fresh, Release, Acquire) {
            // Somebody was quicker, who is about to push its own: that is done for it, not waited for.
            _ = self.tail.0.compare_exchange(tail, next.addr() | 1, SeqCst, Acquire);
            // SAFETY: nobody else knows `fresh`, and its first cell is full.
            return Err(unsafe {
                let value = Segment::take_first(fresh);
                self.limbo.end(fresh);
                value
            });
        }
        match self.tail.0.compare_exchange(tail, fresh.addr() | 1, SeqCst, Acquire) {
            // SAFETY: `tail` has not moved, by G5 not even away and back, and being closed never will: so nobody claims
            // in `fresh`, and as visitors go no further than `tail`, nobody looks there. It stays linked, until the
            // queue ends.
            Err(now) if now == tail | CLOSED => Err(unsafe { Segment::take_first(fresh) }),
            // Or somebody moved it for us.
            _ => Ok(()),
        }
    }

    /// Moves `head` over the end of its segment, if `tail` has left it.
    #[cold]
    fn go_on(&self) {
        let visit = self.limbo.visit();
        let head = self.head.0.word.load(SeqCst);
        if count(head) != CELLS || address(self.tail.0.load(Acquire)) == address(head) {
            return;
        }
        // SAFETY: visitor, G5.
        let next = unsafe { self.link(head) }.load(Relaxed);
        let moved = self.head.0.word.compare_exchange(head, next.addr(), SeqCst, Relaxed).is_ok();
        drop(visit);
        let segment = Segment::at(head);
        if moved && !segment.is_null() {
            // SAFETY: G4: we moved `head` over the link; G5: no other segment had come to its address.
            unsafe {
                if Segment::sweep(segment, 0) {
                    self.limbo.retire(segment);
                }
            }
        }
    }

    /// Whether there seems to be something at `head`, for a claim to find out.
    #[inline]
    fn is_promising(&self, head: usize) -> bool {
        let seen = self.head.0.seen.load(Relaxed);
        if address(seen) == address(head) && count(head) < count(seen) {
            return true;
        }
        let tail = self.tail.0.load(Relaxed);
        let promising = !is_drained(head, tail);
        if promising {
            self.head.0.seen.store(tail, Relaxed);
        }
        promising
    }

    /// What is between `head` and `tail`.
    fn look(&self) -> Look {
        loop {
            // Between two ends, there is nothing wrong with addresses; and what ends has been gone past, so others get
            // on.
            let words = |_| (self.head.0.word.load(SeqCst), self.tail.0.load(SeqCst));
            match self.limbo.unconfused(words) {
                Some((head, tail)) if !is_drained(head, tail) => return Look::Something,
                Some((_, tail)) => return if tail & CLOSED == 0 { Look::Nothing } else { Look::End },
                None => {}
            }
        }
    }

    /// The link from the segment of `word`.
    ///
    /// # Safety
    ///
    /// The caller is a visitor, and found `word` in `head` or `tail` as such; the link is not used after the visit.
    unsafe fn link(&self, word: usize) -> &AtomicPtr<Segment<T>> {
        match address(word) {
            0 => &self.first.0,
            // SAFETY: G5.
            _ => unsafe { &Segment::in_use(Segment::at(word)).header.next },
        }
    }

    /// How many cells of the queue are before `word`, modulo.
    ///
    /// # Safety
    ///
    /// As for `link`.
    unsafe fn position(&self, word: usize) -> usize {
        match address(word) {
            0 => 0,
            // SAFETY: G5.
            _ => unsafe { Segment::in_use(Segment::<T>::at(word)).header.base.wrapping_add(count(word)) },
        }
    }
}

impl<T> Buffer<T> for Segments<T> {
    /// There is always room.
    type Place = usize;

    #[inline]
    fn push(&self, mut value: T) -> Result<(), TrySendError<T>> {
        let mut tail = self.tail.0.load(Acquire);
        loop {
            if tail & CLOSED != 0 {
                return Err(TrySendError::Disconnected(value));
            }
            let tried = if count(tail) == CELLS {
                self.grow(value)
            } else if let Err(now) = self.tail.0.compare_exchange_weak(tail, tail + 1, SeqCst, Acquire) {
                tail = now;
                continue;
            } else {
                // SAFETY: just claimed.
                unsafe { self.fill_cell(tail, value) }
            };
            match tried {
                Ok(()) => return Ok(()),
                Err(back) => value = back,
            }
            tail = self.tail.0.load(Acquire);
        }
    }

    #[inline]
    fn pop(&self) -> Result<T, TryRecvError> {
        loop {
            let head = self.head.0.word.load(Relaxed);
            if !self.is_promising(head) {
                match self.look() {
                    Look::Something => {}
                    Look::Nothing => return Err(TryRecvError::Empty),
                    Look::End => return Err(TryRecvError::Disconnected),
                }
            } else if count(head) == CELLS {
                self.go_on();
            } else if self.head.0.word.compare_exchange_weak(head, head + 1, SeqCst, Relaxed).is_ok() {
                // SAFETY: just claimed.
                if let Some(value) = unsafe { self.empty_cell(head) } {
                    return Ok(value);
                }
            }
        }
    }

    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        if self.is_closed() { Err(TrySendError::Disconnected(())) } else { Ok(0) }
    }

    unsafe fn fill(&self, _: usize, value: T) -> Result<(), T> {
        self.push(value).map_err(TrySendError::into_inner)
    }

    unsafe fn give_back(&self, _: usize) {}

    fn close(&self) -> bool {
        self.tail.0.fetch_or(CLOSED, SeqCst) & CLOSED == 0
    }

    fn is_closed(&self) -> bool {
        self.tail.0.load(SeqCst) & CLOSED != 0
    }

    fn len(&self) -> usize {
        let _visit = self.limbo.visit();
        loop {
            let tail = self.tail.0.load(SeqCst);
            let head = self.head.0.word.load(SeqCst);
            // Nobody pushed meanwhile (G5: it did not come back either): so this was the distance when `head` was read.
            if self.tail.0.load(SeqCst) == tail {
                // SAFETY: visitor, G5.
                let distance = unsafe { self.position(tail).wrapping_sub(self.position(head)) };
                // Below 0 if a receiver came early (G6).
                return (distance as isize).max(0) as usize;
            }
        }
    }

    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// `head`, and how many segments have ended, as its address may come back: mixed from different ends, so that for
    /// two numbers to be the same some thousand segments have to end in between.
    fn pops(&self) -> usize {
        loop {
            if let Some(pops) = self.limbo.unconfused(|ended| self.head.0.word.load(SeqCst) ^ ended.reverse_bits()) {
                return pops;
            }
        }
    }

    /// It is never full.
    fn pushes(&self) -> usize {
        0
    }

    fn may_pop(&self) -> bool {
        model_fence();
        self.look() != Look::Nothing
    }

    fn may_push(&self) -> bool {
        true
    }

    #[cfg(all(test, loom))]
    fn touch(&self) {
        [&self.head.0.word, &self.tail.0].into_iter().for_each(|word| _ = word.fetch_add(0, SeqCst));
        self.limbo.touch();
    }

    /// A pop does not stop at a cell whose sender is slow: one full cell, wherever it stands, will do.
    fn can_pop(&self) -> bool {
        let _visit = self.limbo.visit();
        let head = self.head.0.word.load(SeqCst);
        let tail = self.tail.0.load(SeqCst);
        if tail & CLOSED != 0 || address(head) != address(tail) {
            // The end, or the first cell of a segment that `tail` has come to, which is full (G1).
            return true;
        }
        // In between there is a cell only if there is a segment.
        (count(head)..count(tail)).any(|cell| {
            // SAFETY: visitor, G5.
            unsafe { Segment::<T>::in_use(Segment::at(head)) }.cells[cell].is_full()
        })
    }
}

impl<T> Drop for Segments<T> {
    fn drop(&mut self) {
        struct End<'a, T>(&'a mut Segments<T>);
        impl<T> Drop for End<'_, T> {
            fn drop(&mut self) {
                self.0.end_all();
            }
        }
        let end = End(self);
        drain(&*end.0);
    }
}

impl<T> Segments<T> {
    /// Ends the chain from `head` on, with what a refused push may have linked behind a closed tail. Those before
    /// `head` have ended: no call is under way in which something in them could be unfinished.
    fn end_all(&mut self) {
        let head = self.head.0.word.load(Relaxed);
        let mut segment = if address(head) == 0 { self.first.0.load(Relaxed) } else { Segment::at(head) };
        while !segment.is_null() {
            // SAFETY: `&mut self`: all is ours. The values are gone.
            unsafe {
                let next = (*segment).header.next.load(Relaxed);
                self.limbo.end(segment);
                segment = next;
            }
        }
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
