//! Stacks for green threads: where they lie, how they are handed out, and what happens when one is too small.
//!
//! ```text
//!   one reservation, never unmapped                              one slot, STACK_SIZE bytes
//!
//!   base                                                         ┌──────────────┐ top
//!   │ slot 0 │ slot 1 │ ... │ slot n-1 │ ready │ untouched  │    │ what the     │ the task's header: always of one
//!   └────────────────────────────────────────────────────────┘   │ task needs   │ type, always readable (T1)
//!   ├─── handed out at least once ────┤                          │      ▼       │
//!   ├── readable, writable, guarded ───────────┤                 │              │
//!                                              └─ PROT_NONE      ├──────────────┤ guard_end
//!   links:  a u32 for each slot, in a mapping of its own         │ guard        │ any access is a fault
//!           free ──▶ 7 ──▶ 2 ──▶ 9 ──▶ END                       └──────────────┘ base
//! ```
//!
//! * T1  The memory of a slot above its guard is zero when it is first handed out, and readable and writable from then
//!   on for ever. The pool itself never reads or writes it. A stale pointer into it is therefore always readable, and
//!   as long as users keep one type at one place there, always sound to follow.
//! * T2  A slot has one owner, from `acquire` to `release`. Its link is `IN_USE` exactly then.
//! * T3  A slot's base is a multiple of `STACK_SIZE`: an address and its slot differ in low bits only.
//! * T4  Slots are first handed out in the order of their addresses, so "handed out at least once" is one number,
//!   `handed_out`, which only grows. A signal handler may read it.
//! * T5  A slot below `ready` has its guard. `ready` grows under `growth` only, in batches.
//!
//! A slot is not a mapping of its own: two areas for each stack (the stack, its guard) meet the kernel's default limit
//! of 65530 areas at 32 thousand tasks, and cost a process-wide lock each time one comes or goes. Here a stack that was
//! used before costs no system call at all, and a new one costs one, where the kernel can mark guards within an area.
//! The free list is last in, first out, so that the warmest stack comes back first. Its links lie outside the slots:
//! inside, they would make the first page of a stack the pool's business too (T1).

mod error;
pub(crate) mod overflow;
mod region;
pub(crate) mod sanitizer;

pub(crate) use error::StackError;
pub(crate) use region::STACK_SIZE;

use greenlight_core::SpinMutex;
use region::{Guards, Region, guard_size};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Slots of the process: so many green threads can exist at once. 256 GiB of addresses, and no memory until used.
const SLOTS: u32 = 1 << 20;

/// Slots made ready at a time: 8 MiB, which a kernel that never overcommits must be able to promise.
const BATCH: u32 = 32;

/// The end of the free list.
const END: u32 = u32::MAX;

/// The link of a slot that is not in the free list; what fresh memory holds. A link to slot `n` is `n + 1`.
const IN_USE: u32 = 0;

static POOL: Pool = Pool::new(SLOTS, Guards::Marked);

/// The place of one stack. A plain address: owning it (T2) is the holder's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(NonNull<u8>);

// SAFETY: an address into memory that is never unmapped (T1). What is done with it is for the doer to justify.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    /// The lowest address, which is the guard's.
    pub(crate) fn base(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// One past the highest address. A multiple of `STACK_SIZE` (T3).
    pub(crate) fn top(self) -> *mut u8 {
        self.base().wrapping_add(STACK_SIZE)
    }

    /// The end of the guard: the lowest address that a task can use.
    pub(crate) fn guard_end(self) -> *mut u8 {
        self.base().wrapping_add(guard_size())
    }
}

/// Takes a slot: the one released last, or else one never used, whose memory is zero above the guard (T1).
///
/// # Errors
///
/// If all slots are taken, or the kernel refuses memory for more. The error says which limit to raise.
///
/// # Cost
///
/// One short lock. One time in `BATCH`, when all of the slots so far are taken, the system calls for the next ones.
pub(crate) fn acquire() -> Result<Slot, StackError> {
    POOL.acquire()
}

/// Gives a slot back. Its memory stays as it is (T1).
///
/// # Safety
///
/// The caller owns the slot (T2), and nothing runs or will run on it: its last task has ended, or never began. From here
/// on the next owner may write to it at any time.
pub(crate) unsafe fn release(slot: Slot) {
    // SAFETY: passed on.
    unsafe { POOL.release(slot) }
}

/// The slot that contains `address`, if that slot was ever handed out. Safe to call in a signal handler.
pub(crate) fn slot_of(address: usize) -> Option<Slot> {
    POOL.slot_of(address)
}

/// Calls `f` with every slot that was ever handed out, free or not, in the order of their addresses.
///
/// Slots may come and go meanwhile. A slot handed out after the start is not among them.
pub(crate) fn for_each_slot(f: impl FnMut(Slot)) {
    POOL.for_each_slot(f);
}

/// Slots, free and taken. The process has one, `POOL`; tests make smaller ones.
struct Pool {
    /// How many slots to ask for, and how to guard them.
    wanted: u32,
    guards: Guards,
    /// Set once, under `growth`.
    region: OnceLock<Region>,
    lists: SpinMutex<Lists>,
    /// | operation        | order   | pairs with | so that                                              |
    /// |------------------|---------|------------|------------------------------------------------------|
    /// | grow, in acquire | Release | the other  | who counts a slot finds its memory readable and zero |
    /// | read without     | Acquire |            |                                                      |
    ///
    /// Written under the lock of `lists` only, so its writer reads it Relaxed.
    handed_out: AtomicU32,
    /// Held by the one thread that makes slots ready. Not a spinning lock: it is held across system calls.
    growth: Mutex<()>,
}

struct Lists {
    /// The link to the first free slot.
    free: u32,
    /// Slots below are ready (T5).
    ready: u32,
}

impl Pool {
    const fn new(wanted: u32, guards: Guards) -> Self {
        Self {
            wanted,
            guards,
            region: OnceLock::new(),
            lists: SpinMutex::new(Lists { free: END, ready: 0 }),
            handed_out: AtomicU32::new(0),
            growth: Mutex::new(()),
        }
    }

    fn acquire(&self) -> Result<Slot, StackError> {
        loop {
            if let Some(region) = self.region.get()
                && let Some(index) = self.take(region)
            {
                return Ok(region.slot(index));
            }
            self.grow()?;
        }
    }

    /// The index of a free slot, or of one ready for its first use.
    fn take(&self, region: &Region) -> Option<u32> {
        let mut lists = self.lists.lock();
        if lists.free != END {
            let index = lists.free - 1;
            lists.free = region.link(index).swap(IN_USE, Relaxed);
            return Some(index);
        }
        let index = self.handed_out.load(Relaxed);
        if index == lists.ready {
            return None;
        }
        self.handed_out.store(index + 1, Release); // T4
        Some(index)
    }

    /// Makes the next batch ready, unless another thread has just done so.
    #[cold]
    fn grow(&self) -> Result<(), StackError> {
        let _one_at_a_time = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        let region = match self.region.get() {
            Some(region) => region,
            None => {
                let region = Region::reserve(self.wanted, self.guards)?;
                self.region.get_or_init(|| region)
            }
        };
        let ready = {
            let lists = self.lists.lock();
            if lists.free != END || self.handed_out.load(Relaxed) != lists.ready {
                return Ok(());
            }
            lists.ready
        };
        let opened = region.open(ready, BATCH.min(region.slots() - ready))?;
        self.lists.lock().ready = ready + opened; // T5
        Ok(())
    }

    unsafe fn release(&self, slot: Slot) {
        let region = self.region.get().expect("a slot comes from a region");
        let index = region.index_of(slot.0.addr().get()).expect("a slot comes from its pool");
        debug_assert_eq!(region.link(index).load(Relaxed), IN_USE, "released twice");
        // SAFETY: the caller owns the slot, and nothing runs on it.
        unsafe { sanitizer::forget(slot.guard_end(), slot.top()) };
        let mut lists = self.lists.lock();
        region.link(index).store(lists.free, Relaxed);
        lists.free = index + 1;
    }

    fn slot_of(&self, address: usize) -> Option<Slot> {
        let region = self.region.get()?;
        let index = region.index_of(address)?;
        (index < self.handed_out.load(Acquire)).then(|| region.slot(index))
    }

    fn for_each_slot(&self, f: impl FnMut(Slot)) {
        if let Some(region) = self.region.get() {
            (0..self.handed_out.load(Acquire)).map(|index| region.slot(index)).for_each(f);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
