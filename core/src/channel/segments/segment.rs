//! A segment: cells that are claimed in order, each handed from its one sender to its one receiver. The invariants are
//! at the top of `segments.rs`.

use crate::sync::{
    UnsafeCell,
    atomic::{AtomicPtr, AtomicU8, Ordering::*},
    spin,
};
use core::{mem::MaybeUninit, ptr};

/// Cells in a segment.
pub(super) const CELLS: usize = if cfg!(loom) { 2 } else { 31 };

/// The bits of a word beside the segment's address.
const COUNT: usize = 31;
/// In `tail` only: no claim from now on.
pub(super) const CLOSED: usize = 32;

/// How often a receiver looks again before it breaks its cell: a sender on another CPU needs a cache miss or two.
const PATIENCE: u32 = if cfg!(loom) { 0 } else { 32 };

/// The address in a word: 0 before the first segment.
#[inline]
pub(super) fn address(word: usize) -> usize {
    word & !(COUNT | CLOSED)
}

/// How many cells of that segment are claimed.
#[inline]
pub(super) fn count(word: usize) -> usize {
    word & COUNT
}

const EMPTY: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;

const UNFINISHED: u8 = 0;
const FINISHED: u8 = 1;
/// Unfinished, and whoever finishes it is to go on with the sweep.
const SWEPT_TO: u8 = 2;

pub(super) struct Cell<T> {
    /// | operation | order             | pairs with  | so that                                                |
    /// |-----------|-------------------|-------------|--------------------------------------------------------|
    /// | fill      | Release / Acquire | look, break | the receiver sees the value; refused, the segment ends |
    /// |           |                   |             | after the breaker's last use of it                     |
    /// | look      | Acquire           | fill        | the same                                               |
    /// | break     | Release / Acquire | fill        | both                                                   |
    /// | peek      | Relaxed           | nothing     | the pop that follows sees no older state               |
    state: AtomicU8,
    /// | operation | order             | pairs with | so that                                                  |
    /// |-----------|-------------------|------------|----------------------------------------------------------|
    /// | finish    | AcqRel            | sweep      | the sweep's last step comes after all use of the segment |
    /// | sweep     | Release / Acquire | finish     | the same: who goes on comes after what was swept before  |
    /// | look      | Acquire           | finish     | the same                                                 |
    ///
    /// Each weakened by one step fails `segments_two_receivers_leave_a_segment`.
    done: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Cell<T> {
    /// Gives the value back if the cell is broken: then the caller is to finish it.
    ///
    /// # Safety
    ///
    /// The caller is its sender and does this once.
    #[inline]
    pub(super) unsafe fn fill(&self, value: T) -> Result<(), T> {
        // SAFETY: G3: ours until it leaves EMPTY, and a broken one too.
        self.value.with_mut(|place| unsafe { (*place).write(value) });
        match self.state.compare_exchange(EMPTY, FULL, Release, Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: G3: it is BROKEN, so what we wrote is still ours.
            Err(_) => Err(self.value.with_mut(|place| unsafe { (*place).assume_init_read() })),
        }
    }

    /// Takes the value: then the caller is to finish the cell. None if the sender is too slow: then the sender is.
    ///
    /// # Safety
    ///
    /// The caller is its receiver and does this once.
    #[inline]
    pub(super) unsafe fn empty(&self) -> Option<T> {
        if self.state.load(Acquire) != FULL && self.break_it() {
            return None;
        }
        // SAFETY: G3: it is FULL, and we are the receiver.
        Some(self.value.with_mut(|place| unsafe { (*place).assume_init_read() }))
    }

    /// Whether there is, or was, a value in it.
    pub(super) fn is_full(&self) -> bool {
        self.state.load(Relaxed) == FULL
    }

    /// Ends the wait for the sender. False if it came.
    #[cold]
    fn break_it(&self) -> bool {
        let mut turns = 0;
        while turns < PATIENCE {
            spin(&mut turns);
            if self.state.load(Acquire) == FULL {
                return false;
            }
        }
        self.state.compare_exchange(EMPTY, BROKEN, Release, Acquire).is_ok()
    }
}

/// The words hold its address, so it is aligned for their bits.
#[repr(C, align(64))]
pub(super) struct Segment<T> {
    pub(super) header: Header<T>,
    pub(super) cells: [Cell<T>; CELLS],
}

/// On a cache line of its own, so that no small cell lies across two.
#[repr(align(64))]
pub(super) struct Header<T> {
    /// | operation | order             | pairs with | so that                                                      |
    /// |-----------|-------------------|------------|--------------------------------------------------------------|
    /// | link      | Release / Acquire | follow     | who moves `tail` to it in its maker's place shows it as made |
    /// | follow    | Acquire           | link       | the same                                                     |
    /// | go on     | Relaxed           | nothing    | `tail`, read before, is past it and has brought all          |
    pub(super) next: AtomicPtr<Segment<T>>,
    /// How many cells came before it in the queue, modulo.
    pub(super) base: usize,
    /// The next in limbo. Its owner's.
    pub(super) retired: UnsafeCell<usize>,
    /// What the model checker sees of the segment's life: every use reads it, its end and new beginning write.
    #[cfg(loom)]
    pub(super) alive: UnsafeCell<bool>,
}

impl<T> Segment<T> {
    /// The segment that `word` points to.
    #[inline]
    pub(super) fn at(word: usize) -> *mut Self {
        ptr::with_exposed_provenance_mut(address(word))
    }

    /// # Safety
    ///
    /// A claim or a visit keeps it, as long as the reference is used.
    #[inline]
    pub(super) unsafe fn in_use<'a>(segment: *mut Self) -> &'a Self {
        // SAFETY: the caller's promise.
        let segment = unsafe { &*segment };
        #[cfg(loom)]
        // SAFETY: what the model checks.
        segment.header.alive.with(|alive| assert!(unsafe { *alive }, "a segment is used after its end"));
        segment
    }

    /// Finishes a cell. True if that ends the segment's sweep: the segment is then the caller's. (No `&self`: if it does not,
    /// the segment may be gone before the call returns.)
    ///
    /// # Safety
    ///
    /// It is the caller's to finish (G3), who does not touch the segment again, unless this returns true.
    #[inline]
    #[must_use]
    pub(super) unsafe fn finish(segment: *mut Self, cell: usize) -> bool {
        // SAFETY: G4: the cell is unfinished until we have said so; after that, the sweep is ours or we are gone.
        unsafe {
            let done = &Self::in_use(segment).cells[cell].done;
            done.swap(FINISHED, AcqRel) == SWEPT_TO && Self::sweep(segment, cell + 1)
        }
    }

    /// Passes over the finished cells, from `first` on. True if that is all: the segment is then the caller's. Else whoever
    /// finishes the cell that stopped it goes on.
    ///
    /// # Safety
    ///
    /// The caller has moved `head` over the link (then `first` is 0), or finished the cell before `first` and found that the
    /// sweep had come to it. He does not touch the segment again, unless this returns true.
    #[cold]
    #[must_use]
    pub(super) unsafe fn sweep(segment: *mut Self, first: usize) -> bool {
        (first..CELLS).all(|cell| {
            // SAFETY: G4: nobody else has the sweep, and without it the segment does not end.
            let done = unsafe { &Self::in_use(segment).cells[cell].done };
            done.load(Acquire) == FINISHED || done.compare_exchange(UNFINISHED, SWEPT_TO, Release, Acquire).is_err()
        })
    }

    /// Makes a segment of raw memory: its header, the state of its cells, and `value` in the first.
    ///
    /// # Safety
    ///
    /// The memory is the caller's.
    pub(super) unsafe fn make(segment: *mut Self, base: usize, value: T) {
        segment.expose_provenance();
        let header = Header {
            next: AtomicPtr::new(ptr::null_mut()),
            base,
            retired: UnsafeCell::new(0),
            #[cfg(loom)]
            alive: UnsafeCell::new(true),
        };
        // SAFETY: in bounds, aligned, the caller's. No reference is made to what is not yet written.
        unsafe {
            (&raw mut (*segment).header).write(header);
            let cells = (&raw mut (*segment).cells).cast::<Cell<T>>();
            for i in 0..CELLS {
                (&raw mut (*cells.add(i)).state).write(AtomicU8::new(if i == 0 { FULL } else { EMPTY }));
                (&raw mut (*cells.add(i)).done).write(AtomicU8::new(UNFINISHED));
                #[cfg(loom)]
                (&raw mut (*cells.add(i)).value).write(UnsafeCell::new(MaybeUninit::uninit()));
            }
            (*cells).value.with_mut(|place| (*place).write(value));
        }
    }

    /// Takes back the value that the segment was made with.
    ///
    /// # Safety
    ///
    /// The caller has made the segment; nobody else has claimed its first cell, or will.
    pub(super) unsafe fn take_first(segment: *mut Self) -> T {
        // SAFETY: made with a value there, which is the caller's.
        unsafe { (*segment).cells[0].value.with_mut(|place| (*place).assume_init_read()) }
    }
}
