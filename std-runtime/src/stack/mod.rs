//! Stacks for green threads: where they lie, how they are handed out, and what happens when one is too small.
//!
//! ```text
//!   one reservation a class, never unmapped                      one slot, of its class's size
//!
//!   base                                                         ┌──────────────┐ end
//!   │ slot 0 │ slot 1 │ ... │ slot n-1 │ ready │ untouched  │    │ card: a task's header and closure
//!   └────────────────────────────────────────────────────────┘   ├──────────────┤ top
//!   ├── handed out at least once ────┤                          │ stack        │
//!   ├── readable, writable, guarded ───────────┤                 │      ▼       │
//!                                              └─ PROT_NONE      ├──────────────┤ guard_end
//!   links:  a u32 for each slot, in a mapping of its own         │ guard        │ any access is a fault
//!           first ──▶ 7 ──▶ 2 ──▶ 9 ──▶ END                      └──────────────┘ base
//!
//!   free slots:                          warm    ── settle ──▶   idle    ── trim ──▶   cold
//!                           release ──▶ pushed                                        trimmed
//!                           acquire ◀── popped first           then these           last these
//! ```
//!
//! * T1  The memory of a slot above its guard is zero when it is first handed out, and readable and writable from then
//!   on for ever. The pool itself never reads or writes it, but that a stack below the last `KEPT` bytes may be zero again after
//!   its slot was free. A stale pointer to a card is therefore always readable, and as long as users keep one type
//!   at its beginning, always sound to follow there.
//! * T2  A slot has one owner, from `acquire` to `release`; one in a worker's cache (`cache.rs`) is the worker's. Its link is `IN_USE`
//!   exactly then. Card and stack are the owner's.
//! * T3  A slot's base is a multiple of its size: an address and its slot differ in low bits only.
//! * T4  Slots are first handed out in the order of their addresses, so "handed out at least once" is one number,
//!   `handed_out`, which only grows. A signal handler may read it.
//! * T5  A slot below `ready` has its guard. `ready` grows under `growth` only, in batches.
//! * T6  A free slot is in one of the three chains, or in a worker's cache, or in the hands of the one thread that trims, which holds `growth`
//!   until it has put it back. So whoever finds no free slot and then takes `growth` finds that one, too.
//! * T7  Owners of two slots of a class may exchange the stacks, for good. Which one belongs to a slot is for them to note, on the card, and
//!   `trim` asks.
//!
//! A slot is not a mapping of its own: two areas for each (the stack, its guard) meet the kernel's default limit
//! of 65530 areas at 32 thousand tasks, and cost a process-wide lock each time one comes or goes. Here a stack that was
//! used before costs no system call at all, and a new one costs one at most, where the kernel can mark guards within an area.
//! Free slots are last in, first out, so that the warmest stack comes back first. Their links lie outside the slots:
//! inside, they would make the first page of a stack the pool's business too (T1).
//!
//! What a task has touched deep in its stack goes back to the system once the slot was free and not needed for a while.
//! Workers without work see to that, not the end of a task: giving nothing back takes 0.6 µs there, giving 12 pages back
//! 6, and faulting them in again for the next task 19 (processor time on a Xeon, in a virtual machine).

mod cache;
mod class;
mod error;
pub(crate) mod overflow;
mod region;
pub(crate) mod sanitizer;

pub(crate) use cache::Cache;
pub(crate) use class::Class;
pub(crate) use error::StackError;

use crate::sync::{const_unless_loom, protocol_static};
use greenlight_core::{
    SpinMutex,
    park::{Tick, thread::now},
};
use region::{Guards, Region, guard_size, page_size};
use std::mem::replace;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};

/// The bytes of a card, which is aligned to them. The rest of its page is for the frames of a task that waits.
pub(crate) const CARD_SIZE: usize = 512;

/// Slots are made ready as many at a time as fit in here, and one at least: a kernel that never overcommits must be able to
/// promise that.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Slots trimmed at a time, in 40 to 400 µs.
const TRIMMED_AT_ONCE: u32 = 64;

/// How long a slot is free and not needed before it may be trimmed.
const IDLE_NANOS: Tick = 10_000_000;

/// The bytes at the end of a slot that it keeps while it is cold, its card among them, or one page if pages are larger: what most tasks touch.
const KEPT: usize = 16 * 1024;

/// The end of a chain.
const END: u32 = u32::MAX;

/// The link of a slot that is in no chain; what fresh memory holds. A link to slot `n` is `n + 1`.
const IN_USE: u32 = 0;

protocol_static! {
    /// By class.
    static POOLS: [Pool; class::COUNT] = [
        Pool::new(Class::ALL[0], Class::ALL[0].slots(), Guards::Marked),
        Pool::new(Class::ALL[1], Class::ALL[1].slots(), Guards::Marked),
        Pool::new(Class::ALL[2], Class::ALL[2].slots(), Guards::Marked),
        Pool::new(Class::ALL[3], Class::ALL[3].slots(), Guards::Marked),
        Pool::new(Class::ALL[4], Class::ALL[4].slots(), Guards::Marked),
    ];
}

/// Tests of the process's own pools set it before their first use, to have guards as on an older kernel.
#[cfg(test)]
static PROTECT_ONLY: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// A card, and the right to a stack. A plain address: owning it (T2) is the holder's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    card: NonNull<u8>,
    class: Class,
}

// SAFETY: an address into memory that is never unmapped (T1). What is done with it is for the doer to justify.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    pub(crate) fn new(card: NonNull<u8>, class: Class) -> Self {
        Self { card, class }
    }

    pub(crate) fn card(self) -> NonNull<u8> {
        self.card
    }

    pub(crate) fn class(self) -> Class {
        self.class
    }

    /// The one that belongs to it before any exchange (T7).
    pub(crate) fn first_stack(self) -> Stack {
        let base = self.card.as_ptr().map_addr(|card| card & !(self.class.size() - 1));
        Stack { base: NonNull::new(base).expect("no slot lies at the bottom of memory"), class: self.class }
    }
}

/// The place of one stack, a plain address as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stack {
    base: NonNull<u8>,
    class: Class,
}

// SAFETY: as for a slot.
unsafe impl Send for Stack {}
// SAFETY: as above.
unsafe impl Sync for Stack {}

impl Stack {
    /// The one with this top.
    pub(crate) fn below(top: NonNull<u8>, class: Class) -> Self {
        Slot::new(top, class).first_stack()
    }

    /// The lowest address, which is the guard's.
    pub(crate) fn base(self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// All of its bytes, the guard's too.
    pub(crate) fn size(self) -> usize {
        self.class.size()
    }

    /// One past the highest address that a task can use. A card begins there.
    pub(crate) fn top(self) -> *mut u8 {
        self.end().wrapping_sub(CARD_SIZE)
    }

    /// The end of the slot. A multiple of its size (T3).
    pub(crate) fn end(self) -> *mut u8 {
        self.base().wrapping_add(self.size())
    }

    /// The end of the guard: the lowest address that a task can use.
    pub(crate) fn guard_end(self) -> *mut u8 {
        self.base().wrapping_add(guard_size())
    }
}

/// Takes a slot of `class`: the one released last, or else one never used, whose memory is zero (T1).
///
/// # Errors
///
/// If all slots are taken, but for what workers keep for themselves, or the kernel refuses memory for more. The error says which
/// limit to raise.
///
/// # Cost
///
/// One short lock. From time to time, when all of the slots so far are taken, the system calls for the next ones.
pub(crate) fn acquire(class: Class) -> Result<Slot, StackError> {
    let pool = &POOLS[class.index()];
    pool.acquire().map(|index| pool.slot(index))
}

/// Gives a slot back. Its memory stays as it is, until it is trimmed (T1).
///
/// # Safety
///
/// The caller owns the slot (T2), and nothing runs or will run on its stack: its last task has ended, or never began. From here
/// on the next owner may write to it at any time.
pub(crate) unsafe fn release(slot: Slot) {
    let pool = &POOLS[slot.class.index()];
    // SAFETY: passed on.
    unsafe { pool.release(pool.index_of(slot)) }
}

/// The stack that contains `address`, if it was ever handed out. Safe to call in a signal handler.
pub(crate) fn around(address: usize) -> Option<Stack> {
    // The default first: nearly all are of that.
    let default = &POOLS[Class::DEFAULT.index()];
    default.around(address).or_else(|| POOLS.iter().find_map(|pool| pool.around(address)))
}

/// Calls `f` with every slot that was ever handed out, free or not, by their classes.
///
/// Slots may come and go meanwhile. A slot handed out after the start is not among them. Safe to call in a signal handler.
pub(crate) fn for_each_slot(mut f: impl FnMut(Slot)) {
    POOLS.iter().for_each(|pool| pool.for_each_slot(&mut f));
}

/// Gives memory of free slots that nobody has needed for a while back to the system. True if there may be more to give.
/// `stack_of` tells which stack belongs to a slot that is free (T7).
///
/// For threads that have nothing else to do.
///
/// # Cost
///
/// A system call for each of up to `TRIMMED_AT_ONCE` slots. Each slot of a burst pays once.
pub(crate) fn trim(stack_of: fn(Slot) -> Stack) -> bool {
    let now = now();
    let trim = |pool: &Pool| pool.trim(now, |index| stack_of(pool.slot(index)));
    // Each of them gets its turn: one may be busy for ever.
    POOLS.iter().filter(|pool| trim(pool)).count() > 0
}

/// The bytes between the end of a stack's slot and the lowest page of it that was touched and is in memory.
pub(crate) fn touched(stack: Stack) -> usize {
    let (page, mut start) = (page_size(), stack.guard_end());
    // From below, piece by piece, up to the first page that is there.
    while start < stack.end() {
        let mut pages = [0_u8; 64];
        let size = (stack.end().addr() - start.addr()).min(pages.len() * page);
        // SAFETY: asks about memory that is always mapped (T1), and writes one byte for each page of it.
        let result = unsafe { libc::mincore(start.cast(), size, pages.as_mut_ptr().cast()) };
        assert_eq!(result, 0, "mincore of a stack: {}", std::io::Error::last_os_error());
        let pages = &pages[..size / page];
        let untouched = pages.iter().take_while(|&&page| page & 1 == 0).count();
        start = start.wrapping_add(untouched * page);
        if untouched < pages.len() {
            break;
        }
    }
    stack.end().addr() - start.addr()
}

/// Slots of one class, free and taken. The process has `POOLS`; tests make smaller ones.
struct Pool {
    class: Class,
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
    /// Written under the lock of `lists` only, so its writer reads it Relaxed. Argued: what the two bring is what the kernel has mapped, which
    /// the model checker does not see.
    handed_out: AtomicU32,
    /// Held by the one thread that makes slots ready, or trims them (T6). Not a spinning lock: it is held across system calls.
    growth: Mutex<()>,
}

struct Lists {
    /// Slots released since the last settling.
    warm: Chain,
    /// Those released before that, and not needed since.
    idle: Chain,
    /// Those that were trimmed.
    cold: Chain,
    /// When `warm` became `idle` last.
    settled: Tick,
    /// Slots below are ready (T5).
    ready: u32,
}

/// Free slots, one linked to the next: the link to the first of them.
struct Chain(u32);

impl Chain {
    fn push(&mut self, region: &Region, index: u32) {
        region.link(index).store(self.0, Relaxed);
        self.0 = index + 1;
    }

    fn pop(&mut self, region: &Region) -> Option<u32> {
        (self.0 != END).then(|| {
            let index = self.0 - 1;
            self.0 = region.link(index).swap(IN_USE, Relaxed);
            index
        })
    }
}

impl Lists {
    const NONE: Self = Self { warm: Chain(END), idle: Chain(END), cold: Chain(END), settled: 0, ready: 0 };

    fn any_free(&self) -> bool {
        [&self.warm, &self.idle, &self.cold].iter().any(|chain| chain.0 != END)
    }

    fn pop(&mut self, region: &Region) -> Option<u32> {
        self.warm.pop(region).or_else(|| self.idle.pop(region)).or_else(|| self.cold.pop(region))
    }
}

impl Pool {
    const_unless_loom! {
        fn new(class: Class, wanted: u32, guards: Guards) -> Self {
            Self {
                class,
                wanted,
                guards,
                region: OnceLock::new(),
                lists: SpinMutex::new(Lists::NONE),
                handed_out: AtomicU32::new(0),
                growth: Mutex::new(()),
            }
        }
    }

    fn region(&self) -> &Region {
        self.region.get().expect("a slot comes from a region")
    }

    fn slot(&self, index: u32) -> Slot {
        self.region().slot(index)
    }

    fn index_of(&self, slot: Slot) -> u32 {
        self.region().index_of(slot.card.addr().get()).expect("a slot comes from its pool")
    }

    /// The index of a slot, the caller's from now on.
    fn acquire(&self) -> Result<u32, StackError> {
        loop {
            if let Some(region) = self.region.get()
                && let Some(index) = self.take(region)
            {
                return Ok(index);
            }
            self.grow()?;
        }
    }

    /// The index of a free slot, or of one ready for its first use.
    fn take(&self, region: &Region) -> Option<u32> {
        self.take_from(&mut self.lists.lock(), region)
    }

    fn take_from(&self, lists: &mut Lists, region: &Region) -> Option<u32> {
        if let Some(index) = lists.pop(region) {
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
                #[cfg(not(test))]
                let guards = self.guards;
                #[cfg(test)]
                let guards = if PROTECT_ONLY.load(Relaxed) { Guards::Protected } else { self.guards };
                let region = Region::reserve(self.class, self.wanted, guards)?;
                self.region.get_or_init(|| region)
            }
        };
        let ready = {
            let lists = self.lists.lock();
            if lists.any_free() || self.handed_out.load(Relaxed) != lists.ready {
                return Ok(());
            }
            lists.ready
        };
        let opened = region.open(ready, self.batch().min(region.slots() - ready))?;
        self.lists.lock().ready = ready + opened; // T5
        Ok(())
    }

    /// How many slots to make ready at a time.
    fn batch(&self) -> u32 {
        (BATCH_BYTES / self.class.size()).max(1) as u32
    }

    /// # Safety
    ///
    /// As for [`release`].
    unsafe fn release(&self, index: u32) {
        self.put([index].into_iter());
    }

    /// Free slots, the one to be taken first last.
    fn put(&self, indices: impl Iterator<Item = u32>) {
        let region = self.region();
        let mut lists = self.lists.lock();
        indices.for_each(|index| {
            debug_assert_eq!(region.link(index).load(Relaxed), IN_USE, "released twice");
            lists.warm.push(region, index);
        });
    }

    /// For a cache: one at least, the one to be taken first at the front.
    fn take_half(&self) -> Result<(usize, [u32; cache::HALF]), StackError> {
        let mut taken = [0; cache::HALF];
        loop {
            if let Some(region) = self.region.get() {
                let mut lists = self.lists.lock();
                let count = (0..taken.len())
                    .map_while(|i| self.take_from(&mut lists, region).inspect(|index| taken[i] = *index))
                    .count();
                if count > 0 {
                    return Ok((count, taken));
                }
            }
            self.grow()?;
        }
    }

    /// Trims some of the slots that are idle at the time `now`, unless somebody else is at it, or makes slots ready. True if
    /// more are idle.
    fn trim(&self, now: Tick, stack_of: impl Fn(u32) -> Stack) -> bool {
        // SAFETY: the stack of a slot that is free, and by T6 in our hands.
        self.trim_with(now, |index| unsafe { Region::trim(stack_of(index), KEPT) })
    }

    fn trim_with(&self, now: Tick, mut trim: impl FnMut(u32)) -> bool {
        let Some(region) = self.region.get() else { return false };
        let _one_at_a_time = match self.growth.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        for _ in 0..TRIMMED_AT_ONCE {
            let index = {
                let mut lists = self.lists.lock();
                if now.saturating_sub(lists.settled) < IDLE_NANOS {
                    return false; // they have not been idle for long
                }
                let Some(index) = lists.idle.pop(region) else {
                    lists.settled = now;
                    lists.idle = replace(&mut lists.warm, Chain(END));
                    return false;
                };
                index
            };
            trim(index);
            self.lists.lock().cold.push(region, index);
        }
        true
    }

    fn around(&self, address: usize) -> Option<Stack> {
        let region = self.region.get()?;
        let index = region.index_of(address)?;
        (index < self.handed_out.load(Acquire)).then(|| region.stack(index))
    }

    fn for_each_slot(&self, f: impl FnMut(Slot)) {
        if self.region.get().is_some() {
            (0..self.handed_out.load(Acquire)).map(|index| self.slot(index)).for_each(f);
        }
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
