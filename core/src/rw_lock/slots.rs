//! The table in which the readers of a biased lock stand, each in its thread's row, so that they write no line in common.
//!
//! ```text
//!   row of thread 0    .   7   .   .   .   .   .   .        two readers of lock 7
//!   row of thread 1    .   7   .   3   .   .   .   .        and one of lock 3
//! ```
//!
//! One table for the process, 8 KiB. A lock is named by a number that it is given when it is first biased, not by its address:
//! a guard that was forgotten keeps its slot, until somebody would write, and must not count for the lock that is made in the same
//! place later.
//!
//! Only with an operating system: elsewhere there are neither threads that could be told apart nor memory to spare, and a lock
//! is never biased.

pub(super) use imp::*;

#[cfg(any(feature = "std", loom))]
mod imp {
    use crate::sync::{
        atomic::{AtomicUsize, Ordering::*},
        const_unless_loom, model_fence, plain,
    };
    #[cfg(not(loom))]
    use core::cell::Cell;
    use core::num::NonZeroU16;

    /// Each thread is given the next one, round and round.
    const ROWS: usize = if cfg!(loom) { 1 } else { 64 };
    /// Slots of a row: as many guards of biased locks may a thread, or the tasks on it, have in the table at a time.
    const SLOTS: usize = if cfg!(loom) { 2 } else { 8 };
    /// Nobody stands there.
    const EMPTY: usize = 0;
    /// So many readers must have met another in the word, with no write in between. Most of them waited for a line of another
    /// core: together they outweigh what a writer pays for looking through the table, about a microsecond.
    const ENOUGH: u32 = if cfg!(loom) { u32::MAX } else { 128 };
    /// One in so many of a thread's meetings is counted, as so many.
    const SAMPLE: u32 = 16;

    #[cfg_attr(not(loom), repr(align(128)))]
    struct Row([AtomicUsize; SLOTS]);

    impl Row {
        const_unless_loom! {
            fn new() -> Self {
                #[cfg(not(loom))]
                return Self([const { AtomicUsize::new(EMPTY) }; SLOTS]);
                #[cfg(loom)]
                return Self(core::array::from_fn(|_| AtomicUsize::new(EMPTY)));
            }
        }
    }

    #[cfg(not(loom))]
    static TABLE: [Row; ROWS] = [const { Row::new() }; ROWS];

    /// The number of the lock that was biased last. It ends at `usize::MAX`: a number is never given twice.
    static LAST: plain::AtomicUsize = plain::AtomicUsize::new(EMPTY);

    /// Where a reader is counted: in the lock's word, or in a slot, by its index plus one.
    #[derive(Clone, Copy)]
    pub(in crate::rw_lock) struct Place(Option<NonZeroU16>);

    impl Place {
        pub(in crate::rw_lock) const WORD: Self = Self(None);

        fn slot(index: usize) -> Self {
            Self(u16::try_from(index + 1).ok().and_then(NonZeroU16::new))
        }

        pub(in crate::rw_lock) fn is_word(self) -> bool {
            self.0.is_none()
        }

        #[cfg(all(test, loom))]
        pub(in crate::rw_lock) fn is_before(self, other: Self) -> bool {
            self.0 < other.0
        }
    }

    /// A slot in which a reader was seen.
    pub(in crate::rw_lock) struct Taken<'a> {
        slot: &'a AtomicUsize,
        number: usize,
    }

    impl Taken<'_> {
        /// The reader stands here no longer; false if it has left by itself.
        pub(in crate::rw_lock) fn clear(self) -> bool {
            self.slot.compare_exchange(self.number, EMPTY, Release, Acquire).is_ok()
        }
    }

    /// A lock's part in the table.
    ///
    /// | operation            | order   | pairs with  | so that                                                       |
    /// |----------------------|---------|-------------|---------------------------------------------------------------|
    /// | take a slot          | SeqCst  | look        | B3, with the word: who comes sees BIASED gone, or is seen; and as give, for who takes it next |
    /// | look                 | SeqCst  | take        | the same                                                      |
    /// | give a slot          | Release | look; clear fails; take | who writes next sees that it was read             |
    /// |                      |         | give fails  | who finds its slot given by another (B2) sees what that one saw |
    /// | clear                | Release | give fails  | who was moved sees what the mover saw, and its count          |
    /// | clear fails          | Acquire | give        | as look: the reader has just left                             |
    /// | give fails           | Acquire | clear; give | who comes in by having been moved sees what was written       |
    /// | number               | Relaxed | nothing     | written once; a revoker sees it through BIASED, and who reads the 0 before it takes no slot |
    /// | meetings             | Relaxed | nothing     | a guess                                                       |
    ///
    /// The model's fences stand for the order of the SeqCst ones, and do what taking a slot acquires, and clearing one releases,
    /// as well: those two are argued here, not checked there.
    pub(in crate::rw_lock) struct Bias {
        number: AtomicUsize,
        /// Readers who met another, since the last write.
        meetings: plain::AtomicU32,
        /// A checked atomic cannot be in a static.
        #[cfg(loom)]
        table: [Row; ROWS],
    }

    impl Bias {
        const_unless_loom! {
            pub(in crate::rw_lock) fn new() -> Self {
                Self {
                    number: AtomicUsize::new(EMPTY),
                    meetings: plain::AtomicU32::new(0),
                    #[cfg(loom)]
                    table: core::array::from_fn(|_| Row::new()),
                }
            }
        }

        fn table(&self) -> &[Row; ROWS] {
            #[cfg(not(loom))]
            return &TABLE;
            #[cfg(loom)]
            return &self.table;
        }

        fn at(&self, place: Place) -> Option<&AtomicUsize> {
            let index = usize::from(place.0?.get()) - 1;
            Some(&self.table()[index / SLOTS % ROWS].0[index % SLOTS])
        }

        /// Names the lock, if it has no name so far. False if there are no numbers left.
        pub(in crate::rw_lock) fn name(&self) -> bool {
            if self.number.load(Relaxed) != EMPTY {
                return true;
            }
            let next = |last: usize| last.checked_add(1);
            // A model is to be the same each time, and its locks have a table each.
            let last = if cfg!(loom) { Ok(EMPTY) } else { LAST.fetch_update(Relaxed, Relaxed, next) };
            let Ok(last) = last else { return false };
            // Another reader may have been quicker: then this number is nobody's.
            let _ = self.number.compare_exchange(EMPTY, last + 1, Relaxed, Relaxed);
            true
        }

        /// A slot of this thread's row, if one is empty.
        #[inline]
        pub(in crate::rw_lock) fn take_slot(&self) -> Option<Place> {
            let number = self.number.load(Relaxed);
            if number == EMPTY {
                return None;
            }
            let row = row();
            let slots = &self.table()[row].0;
            (0..SLOTS).map(|step| number.wrapping_add(step) % SLOTS).find_map(|slot| {
                let empty = slots[slot].load(Relaxed) == EMPTY;
                let taken = empty && slots[slot].compare_exchange(EMPTY, number, SeqCst, Relaxed).is_ok();
                taken.then(|| Place::slot(row * SLOTS + slot))
            })
        }

        /// One reader of this lock less in that place. False if none stands there: it is counted in the word then (B2).
        #[inline]
        pub(in crate::rw_lock) fn give_slot(&self, place: Place) -> bool {
            let number = self.number.load(Relaxed);
            self.at(place).is_some_and(|slot| slot.compare_exchange(number, EMPTY, Release, Acquire).is_ok())
        }

        /// The slots in which readers of this lock stand. Whoever comes into one that was passed sees no bias, or a later one (B3).
        pub(in crate::rw_lock) fn taken_slots(&self) -> impl Iterator<Item = Taken<'_>> {
            let number = self.number.load(Relaxed);
            model_fence();
            let slots = self.table().iter().flat_map(|row| &row.0);
            slots.filter(move |slot| slot.load(SeqCst) == number).map(move |slot| Taken { slot, number })
        }

        /// Counts a reader who met another. True if that happens all the time. The lock's line is written for one in `SAMPLE`.
        pub(in crate::rw_lock) fn counts_meeting(&self) -> bool {
            if !is_sampled() {
                return false;
            }
            let meetings = self.meetings.load(Relaxed).saturating_add(SAMPLE);
            self.meetings.store(meetings, Relaxed);
            meetings >= ENOUGH
        }

        /// Somebody writes: they start to count anew.
        #[inline]
        pub(in crate::rw_lock) fn forget_meetings(&self) {
            self.meetings.store(0, Relaxed);
        }

        /// A reader of another lock has it for good.
        #[cfg(all(test, loom))]
        pub(in crate::rw_lock) fn occupy_a_slot(&self) {
            self.table()[0].0[0].store(usize::MAX, Relaxed);
        }

        /// How many stand in the table.
        #[cfg(all(test, not(loom)))]
        pub(in crate::rw_lock) fn standing(&self) -> usize {
            let number = self.number.load(Relaxed);
            let slots = self.table().iter().flat_map(|row| &row.0);
            slots.filter(|slot| number != EMPTY && slot.load(Relaxed) == number).count()
        }
    }

    #[cfg(not(loom))]
    std::thread_local! {
        static ROW: Cell<Option<usize>> = const { Cell::new(None) };
        static MEETINGS: Cell<u32> = const { Cell::new(0) };
    }

    /// This thread's row.
    #[cfg(not(loom))]
    #[inline]
    fn row() -> usize {
        static NEXT: plain::AtomicUsize = plain::AtomicUsize::new(0);
        #[cold]
        fn first_time() -> usize {
            let row = NEXT.fetch_add(1, Relaxed);
            ROW.set(Some(row));
            row
        }
        // A thread that is about to end may have no locals any more.
        ROW.try_with(Cell::get).map_or(0, |row| row.unwrap_or_else(first_time)) % ROWS
    }

    /// Whether this meeting of this thread is one that counts.
    #[cfg(not(loom))]
    fn is_sampled() -> bool {
        let count = |meetings: &Cell<u32>| {
            meetings.set(meetings.get().wrapping_add(1));
            meetings.get().is_multiple_of(SAMPLE)
        };
        MEETINGS.try_with(count).unwrap_or(false)
    }

    #[cfg(loom)]
    fn is_sampled() -> bool {
        true
    }

    #[cfg(loom)]
    fn row() -> usize {
        0
    }
}

#[cfg(not(any(feature = "std", loom)))]
mod imp {
    #[derive(Clone, Copy)]
    pub(in crate::rw_lock) struct Place;

    impl Place {
        pub(in crate::rw_lock) const WORD: Self = Self;

        pub(in crate::rw_lock) fn is_word(self) -> bool {
            true
        }
    }

    pub(in crate::rw_lock) enum Taken {}

    impl Taken {
        pub(in crate::rw_lock) fn clear(self) -> bool {
            match self {}
        }
    }

    pub(in crate::rw_lock) struct Bias;

    impl Bias {
        pub(in crate::rw_lock) const fn new() -> Self {
            Self
        }

        pub(in crate::rw_lock) fn name(&self) -> bool {
            false
        }

        pub(in crate::rw_lock) fn take_slot(&self) -> Option<Place> {
            None
        }

        pub(in crate::rw_lock) fn give_slot(&self, _: Place) -> bool {
            false
        }

        pub(in crate::rw_lock) fn taken_slots(&self) -> core::iter::Empty<Taken> {
            core::iter::empty()
        }

        pub(in crate::rw_lock) fn counts_meeting(&self) -> bool {
            false
        }

        #[inline]
        pub(in crate::rw_lock) fn forget_meetings(&self) {}
    }
}
