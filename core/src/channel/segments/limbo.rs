//! Where segments come from and where they go: the allocator, or one that is kept. In between they may be in limbo, as
//! long as somebody could be looking at them.
//!
//! ```text
//!   make ───▶ in the queue ───▶ retired ──── no visitor ────▶ ended ───▶ spare, or freed
//!     ▲                            │  ▲                                    │
//!     │                   visitors │  │ the last one leaves                │
//!     │                            ▼  │                                    │
//!     │                           limbo                                    │
//!     └────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! G5, at the top of `segments.rs`, is the rule. Why it holds: the owner's look at `visitors` comes after `head` and
//! `tail` have left the segment, a visitor's look at `head` or `tail` after it was counted, and all four are SeqCst. So
//! the owner sees the visitor, or the visitor does not find the segment. (Or it was counted and has left: then the
//! owner comes after it.) In the same way, a list that is shelved is seen by the last visitor, or its absence is by the
//! shelver.

use super::segment::Segment;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};
use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use core::{alloc::Layout, ptr};

pub(super) struct Limbo<T> {
    /// | operation | order  | pairs with | so that                                                             |
    /// |-----------|--------|------------|---------------------------------------------------------------------|
    /// | enter     | SeqCst | nobody?    | G5: it is seen there, or does not find the segment                  |
    /// | leave     | SeqCst | nobody?    | the segment ends after its looks; it sees the list, or is seen gone |
    /// | nobody?   | SeqCst | both       | the same                                                            |
    visitors: AtomicUsize,
    /// Segments that were retired while there were visitors: the address of the first.
    ///
    /// | operation | order             | pairs with | so that                                             |
    /// |-----------|-------------------|------------|-----------------------------------------------------|
    /// | shelve    | SeqCst / Relaxed  | look, take | the last visitor sees the list, or is seen gone     |
    /// | look      | SeqCst            | shelve     | the same                                            |
    /// | take      | SeqCst / Relaxed  | shelve     | the taker comes after all use of the segments in it |
    list: AtomicUsize,
    /// One free segment, so that a queue that stays short does not call the allocator.
    ///
    /// | operation | order             | pairs with | so that                                |
    /// |-----------|-------------------|------------|----------------------------------------|
    /// | lay in    | Release / Relaxed | take       | the segment is made anew after its end |
    /// | glance    | Relaxed           | nothing    | `take` does the rest                   |
    /// | take      | Acquire / Relaxed | lay in     | as there                               |
    spare: AtomicPtr<Segment<T>>,
    /// How many segments have ended. Who finds this number before and after he finds `head` and `tail` in "the same"
    /// segment has seen one segment: for its address to come back, the one that `head` was in had to end in between.
    /// (With 32 bits, a look during which exactly 2^32 segments end, which takes some thousand seconds, could be
    /// wrong.)
    ///
    /// | operation | order   | pairs with | so that                                                            |
    /// |-----------|---------|------------|--------------------------------------------------------------------|
    /// | end       | Release | 1st look   | who counts an end here finds `head` gone from there                |
    /// | 1st look  | Acquire | end        | the same                                                           |
    /// | 2nd look  | Relaxed | nothing    | `tail`, read before, brings the end, which was before the new life |
    ended: AtomicUsize,
    #[cfg(test)]
    live: crate::sync::plain::AtomicUsize,
    /// Where the models keep ended segments until the queue ends: a use of one is then reported, not done.
    #[cfg(loom)]
    buried: std::sync::Mutex<std::vec::Vec<usize>>,
}

/// The stay of a visitor: G5.
pub(super) struct Visit<'a, T>(&'a Limbo<T>);

impl<T> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        if self.0.visitors.fetch_sub(1, SeqCst) == 1 {
            // SAFETY: just taken.
            unsafe { self.0.release(self.0.take()) };
        }
    }
}

impl<T> Limbo<T> {
    pub(super) fn new() -> Self {
        Self {
            visitors: AtomicUsize::new(0),
            list: AtomicUsize::new(0),
            spare: AtomicPtr::new(ptr::null_mut()),
            ended: AtomicUsize::new(0),
            #[cfg(test)]
            live: crate::sync::plain::AtomicUsize::new(0),
            #[cfg(loom)]
            buried: std::sync::Mutex::default(),
        }
    }

    pub(super) fn visit(&self) -> Visit<'_, T> {
        self.visitors.fetch_add(1, SeqCst);
        Visit(self)
    }

    /// What `look` does, given how many segments have ended, if none has meanwhile that it could have taken for another.
    #[inline]
    pub(super) fn unconfused<R>(&self, look: impl FnOnce(usize) -> R) -> Option<R> {
        let ended = self.ended.load(Acquire);
        let seen = look(ended);
        (self.ended.load(Relaxed) == ended).then_some(seen)
    }

    /// A segment that starts at `base`, with `value` in its first cell. The caller's.
    pub(super) fn make(&self, base: usize, value: T) -> *mut Segment<T> {
        let segment = self.take_spare().unwrap_or_else(|| {
            #[cfg(test)]
            self.live.fetch_add(1, Relaxed);
            let layout = Layout::new::<Segment<T>>();
            // SAFETY: a header is not of size 0.
            let segment: *mut Segment<T> = unsafe { alloc(layout) }.cast();
            if segment.is_null() { handle_alloc_error(layout) } else { segment }
        });
        // SAFETY: ours alone: just allocated, or taken whole out of `spare`.
        unsafe { Segment::make(segment, base, value) };
        segment
    }

    fn take_spare(&self) -> Option<*mut Segment<T>> {
        let spare = self.spare.load(Relaxed);
        if spare.is_null() {
            return None;
        }
        let taken = self.spare.compare_exchange(spare, ptr::null_mut(), Acquire, Relaxed).ok();
        #[cfg(loom)]
        if let Some(segment) = taken {
            // SAFETY: what the model checks: we come after its end.
            unsafe { (*segment).header.alive.with_mut(|alive| assert!(!*alive)) };
        }
        taken
    }

    /// Ends a segment as soon as there is no visitor.
    ///
    /// # Safety
    ///
    /// The caller owns it (G4).
    #[cold]
    pub(super) unsafe fn retire(&self, segment: *mut Segment<T>) {
        // SAFETY: owned: a list of one.
        unsafe {
            (*segment).header.retired.with_mut(|next| *next = 0);
            self.release(segment.addr());
        }
    }

    /// Ends the segments of `list`, if there is no visitor; else the last visitor will.
    ///
    /// # Safety
    ///
    /// The caller owns them.
    unsafe fn release(&self, mut list: usize) {
        while list != 0 {
            // Owned first, then the look: G5.
            if self.visitors.load(SeqCst) == 0 {
                while list != 0 {
                    let segment = Segment::at(list);
                    // SAFETY: owned, linked by `retire` and `shelve`, and by G5 nobody looks at it.
                    unsafe {
                        list = (*segment).header.retired.with(|next| *next);
                        self.end(segment);
                    }
                }
                return;
            }
            // SAFETY: owned.
            unsafe { self.shelve(list) };
            // The last visitor may have left before the list was there for it to see.
            if self.visitors.load(SeqCst) != 0 {
                return;
            }
            list = self.take();
        }
    }

    /// Adds `list` to those in limbo, where whoever takes them owns them.
    ///
    /// # Safety
    ///
    /// The caller owns them.
    unsafe fn shelve(&self, list: usize) {
        let mut last = Segment::<T>::at(list);
        // SAFETY: owned, all of the list.
        while let next @ 1.. = unsafe { (*last).header.retired.with(|next| *next) } {
            last = Segment::at(next);
        }
        let mut others = self.list.load(Relaxed);
        loop {
            // SAFETY: still owned. (Addresses, so it does not matter if `others` has left and come back meanwhile.)
            unsafe { (*last).header.retired.with_mut(|next| *next = others) };
            match self.list.compare_exchange_weak(others, list, SeqCst, Relaxed) {
                Ok(_) => return,
                Err(now) => others = now,
            }
        }
    }

    /// Takes all that is in limbo: the caller owns it. 0 if nothing is.
    fn take(&self) -> usize {
        let mut list = self.list.load(SeqCst);
        while list != 0 {
            match self.list.compare_exchange_weak(list, 0, SeqCst, Relaxed) {
                Ok(_) => break,
                Err(now) => list = now,
            }
        }
        list
    }

    /// Ends a segment's life: it becomes the spare one, or goes back to the allocator.
    ///
    /// # Safety
    ///
    /// The caller owns it, nobody looks at it, and no value is in it.
    pub(super) unsafe fn end(&self, segment: *mut Segment<T>) {
        #[cfg(loom)]
        // SAFETY: owned.
        unsafe {
            (*segment).header.alive.with_mut(|alive| *alive = false)
        };
        self.ended.fetch_add(1, Release);
        if self.spare.compare_exchange(ptr::null_mut(), segment, Release, Relaxed).is_err() {
            // SAFETY: owned.
            unsafe { self.free(segment) };
        }
    }

    /// # Safety
    ///
    /// As for `end`.
    unsafe fn free(&self, segment: *mut Segment<T>) {
        #[cfg(test)]
        self.live.fetch_sub(1, Relaxed);
        #[cfg(loom)]
        self.buried.lock().unwrap().push(segment.addr());
        #[cfg(not(loom))]
        // SAFETY: allocated by `make`, with this layout.
        unsafe {
            dealloc(segment.cast(), Layout::new::<Segment<T>>())
        };
    }

    /// How many segments there are.
    #[cfg(all(test, any(loom, feature = "std")))]
    pub(super) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// The models' reads are of words that have been written SeqCst (see there).
    #[cfg(all(test, loom))]
    pub(super) fn touch(&self) {
        self.list.fetch_add(0, SeqCst);
    }

    #[cfg(all(test, any(loom, feature = "std")))]
    pub(super) fn is_empty(&self) -> bool {
        self.list.load(SeqCst) == 0
    }
}

impl<T> Drop for Limbo<T> {
    /// The spare one goes. Nobody visits any more, so nothing is in limbo.
    fn drop(&mut self) {
        if let Some(spare) = self.take_spare() {
            // SAFETY: just taken.
            unsafe { self.free(spare) };
        }
        #[cfg(loom)]
        for segment in self.buried.get_mut().unwrap().drain(..) {
            // SAFETY: allocated by `make`, ended once.
            unsafe { dealloc(Segment::<T>::at(segment).cast(), Layout::new::<Segment<T>>()) };
        }
    }
}
