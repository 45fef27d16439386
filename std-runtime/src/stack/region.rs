//! The address space behind a pool of stacks, and every system call that shapes it.
//!
//! ```text
//!                 open(first, count)
//!   RESERVED ────────────────────────▶ READY
//!   PROT_NONE                          READ | WRITE, guard at the base
//! ```
//!
//! * R1  `base` is a multiple of a slot's size; `slots` times that many bytes from there on belong to the region, and
//!   `slots` links of 4 bytes each. Neither is ever unmapped, nor does a slot ever leave `READY`.
//! * R2  Guards are marked within the area as long as the kernel takes that, and are areas of their own from the first
//!   time on that it does not. A region may hold guards of both kinds. A mark that was taken is not yet a guard: an
//!   emulator may call every advice a success. So the first one is put to the test.
//!
//! Slots become ready in batches that adjoin, so that the kernel keeps all of them in one area, whatever their number; and a batch
//! gets its marks by one system call, where the kernel takes that (6.18 does): 600 ns a slot instead of 900.
//! Huge pages are declined: a stack touches a page or two, and 2 MiB at once would be the memory of eight stacks.

use super::{CARD_SIZE, Class, Slot, Stack, StackError};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};

/// The bytes of a guard, or one page if pages are larger. Where Rust's compiler touches every page of a large frame in
/// order, one page would do, and the rest is for C, compiled without such probes. For riscv64 it makes none: a frame
/// larger than the guard can reach past it, and the guard is what stands between two stacks.
const GUARD_SIZE: usize = if cfg!(target_arch = "riscv64") { 64 * 1024 } else { 16 * 1024 };

/// `MADV_GUARD_INSTALL`, Linux 6.13: accesses fault from now on, in the same area as before.
const MADV_GUARD_INSTALL: i32 = 102;

/// "This process", where a descriptor of one is asked for: `PIDFD_SELF`.
const THIS_PROCESS: i32 = -10000;

/// Guards marked by one system call.
const MARKED_AT_ONCE: usize = 32;

/// A region smaller than this is not worth having.
const FEWEST_SLOTS: u32 = 16;

/// How guards are made (R2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guards {
    /// By a mark in the page table. Costs nothing that is limited.
    Marked,
    /// By protection. Costs two areas each.
    Protected,
}

/// The size of a guard on this machine. Safe to call in a signal handler once a region exists.
pub(super) fn guard_size() -> usize {
    GUARD_SIZE.next_multiple_of(page_size())
}

/// The size of a page, and the same safety.
pub(super) fn page_size() -> usize {
    static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
    match PAGE_SIZE.load(Relaxed) {
        0 => {
            // SAFETY: only asks.
            let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            assert!(
                size.is_power_of_two() && size <= Class::DEFAULT.size() / 4,
                "pages of {size} bytes do not fit a stack"
            );
            PAGE_SIZE.store(size, Relaxed);
            size
        }
        size => size,
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Whether the kernel itself fails to read there.
fn faults(start: *mut libc::c_void, size: usize) -> bool {
    // SAFETY: changes no content.
    let result = unsafe { libc::madvise(start, size, libc::MADV_POPULATE_READ) };
    result != 0 && errno() == libc::EFAULT
}

/// A private mapping of `size` bytes that promises no memory.
fn map(size: usize, protection: i32) -> Result<NonNull<u8>, i32> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: at an address of the kernel's choice, so nothing that exists changes.
    let start = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        Err(errno())
    } else {
        Ok(NonNull::new(start.cast()).expect("page 0 is never mapped"))
    }
}

/// A reservation cut into slots, and their links.
pub(super) struct Region {
    class: Class,
    base: NonNull<u8>,
    links: NonNull<AtomicU32>,
    slots: u32,
    /// Guards are `Protected` from here on. Written by the thread that opens slots; anyone may read it.
    protect: AtomicBool,
    /// The kernel does not mark many at once. As above.
    one_by_one: AtomicBool,
}

// SAFETY: by R1 the memory is there for ever; links are atomic, and slots are handed out as addresses.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `wanted` slots, or as many as the kernel grants.
    ///
    /// When it does not grant all, the address space is limited, and the rest of the program lives there too: having
    /// found how much there is, take half of that.
    pub(super) fn reserve(class: Class, wanted: u32, guards: Guards) -> Result<Self, StackError> {
        page_size(); // Known from here on, in signal handlers too.
        let mut slots = wanted;
        let mut mapped = Self::map_slots(class, slots);
        while mapped.is_err() && slots / 2 >= FEWEST_SLOTS {
            slots /= 2;
            mapped = Self::map_slots(class, slots);
        }
        let (start, links) = mapped.map_err(StackError::Reserve)?;
        if slots < wanted {
            slots /= 2;
            let (keep, rest) = ((slots as usize + 1) * class.size(), slots as usize * class.size());
            // SAFETY: the upper half of what was mapped just now, for nobody else.
            unsafe { libc::munmap(start.add(keep).as_ptr().cast(), rest) };
        }
        let gap = start.align_offset(class.size());
        // SAFETY: the mapping is one slot longer than the slots need, so the gap lies in it.
        let base = unsafe { start.add(gap) };
        // Declines huge pages. A kernel without them says EINVAL, and that is just as well.
        // SAFETY: memory of ours that nobody uses yet.
        unsafe { libc::madvise(base.as_ptr().cast(), slots as usize * class.size(), libc::MADV_NOHUGEPAGE) };
        let protect = AtomicBool::new(guards == Guards::Protected);
        Ok(Self { class, base, links, slots, protect, one_by_one: AtomicBool::new(false) })
    }

    /// Maps `slots` slots and one to spare for aligning, and their links.
    fn map_slots(class: Class, slots: u32) -> Result<(NonNull<u8>, NonNull<AtomicU32>), i32> {
        let size = (slots as usize + 1) * class.size();
        let start = map(size, libc::PROT_NONE)?;
        match map(slots as usize * size_of::<AtomicU32>(), libc::PROT_READ | libc::PROT_WRITE) {
            Ok(links) => Ok((start, links.cast())),
            Err(errno) => {
                // SAFETY: mapped just now, for nobody else.
                unsafe { libc::munmap(start.as_ptr().cast(), size) };
                Err(errno)
            }
        }
    }

    /// How many slots there are, ready or not.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// The slot of this index.
    pub(super) fn slot(&self, index: u32) -> Slot {
        debug_assert!(index < self.slots);
        // SAFETY: within the region by R1.
        let card = unsafe { self.base.add((index as usize + 1) * self.class.size() - CARD_SIZE) };
        Slot { card, class: self.class }
    }

    /// Its stack, before any exchange.
    pub(super) fn stack(&self, index: u32) -> Stack {
        self.slot(index).first_stack()
    }

    /// The index of the slot around `address`, ready or not.
    pub(super) fn index_of(&self, address: usize) -> Option<u32> {
        let index = address.checked_sub(self.base.addr().get())? >> self.class.size_bits();
        (index < self.slots as usize).then_some(index as u32)
    }

    /// The link of the slot of this index. Zero until first written.
    pub(super) fn link(&self, index: u32) -> &AtomicU32 {
        assert!(index < self.slots);
        // SAFETY: within the links by R1, which start as zeroes, are atomics to everyone and stay for ever.
        unsafe { self.links.add(index as usize).as_ref() }
    }

    /// Makes slots `first ..` ready, `count` of them at most, and says how many. One at least, or an error.
    ///
    /// Called by one thread at a time, each time with the first slot that is not ready yet.
    pub(super) fn open(&self, first: u32, count: u32) -> Result<u32, StackError> {
        if count == 0 {
            return Err(StackError::Exhausted { slots: self.slots, size: self.class.size() });
        }
        let start = self.stack(first).base().cast();
        let size = count as usize * self.class.size();
        // SAFETY: slots of ours that nobody uses yet.
        if unsafe { libc::mprotect(start, size, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            return Err(StackError::Commit(errno()));
        }
        let mut done = 0;
        while done < count {
            let marked = self.mark(first + done, count - done);
            if marked > 0 {
                done += marked;
                continue;
            }
            match self.guard(self.stack(first + done)) {
                Ok(()) => done += 1,
                Err(error) if done == 0 => return Err(error),
                // The rest is writable without a guard, and not ready: the next call starts there.
                Err(_) => return Ok(done),
            }
        }
        Ok(count)
    }

    /// Marks the guards of slots `first ..`, of `count` at most and as many as one system call can, and says how many. None where it
    /// takes one call each; and not the first of all, which is to be put to the test (R2).
    fn mark(&self, first: u32, count: u32) -> u32 {
        if first == 0 || self.protect.load(Relaxed) || self.one_by_one.load(Relaxed) {
            return 0;
        }
        let size = guard_size();
        let guards: [_; MARKED_AT_ONCE] = std::array::from_fn(|i| {
            // Of those past the last one nothing is told to the kernel.
            let stack = self.stack((first + i as u32).min(self.slots - 1));
            libc::iovec { iov_base: stack.base().cast(), iov_len: size }
        });
        let count = guards.len().min(count as usize);
        // SAFETY: memory of ours that nobody uses yet, and `count` valid ranges of it.
        let bytes = unsafe {
            libc::syscall(
                libc::SYS_process_madvise,
                THIS_PROCESS as libc::c_long,
                guards.as_ptr(),
                count,
                MADV_GUARD_INSTALL as libc::c_long,
                0 as libc::c_long,
            )
        };
        match usize::try_from(bytes) {
            // It stops where it meets what it cannot do, which asking for that one alone will name.
            Ok(bytes) => (bytes / size) as u32,
            Err(_) => {
                self.one_by_one.store(true, Relaxed);
                0
            }
        }
    }

    /// Gives the memory of a stack back to the system, but for the guard, and the topmost `kept` bytes with the card: it is zero again.
    ///
    /// # Safety
    ///
    /// The stack is ready, and nobody uses it.
    pub(super) unsafe fn trim(stack: Stack, kept: usize) {
        let (start, kept) = (stack.guard_end(), kept.next_multiple_of(page_size()));
        let size = stack.end().addr() - start.addr() - kept;
        // Refused where memory is locked: that was not to be given back then.
        // SAFETY: the stack is the caller's, and its memory stays mapped.
        unsafe { libc::madvise(start.cast(), size, libc::MADV_DONTNEED) };
    }

    /// Makes the guard of a stack that nobody uses yet.
    fn guard(&self, stack: Stack) -> Result<(), StackError> {
        let (start, size) = (stack.base().cast(), guard_size());
        while !self.protect.load(Relaxed) {
            // SAFETY: memory of ours that nobody uses yet.
            if unsafe { libc::madvise(start, size, MADV_GUARD_INSTALL) } == 0 {
                if stack != self.stack(0) || faults(start, size) {
                    return Ok(());
                }
                self.protect.store(true, Relaxed);
                break;
            }
            match errno() {
                libc::EINTR | libc::EAGAIN => {}
                // An older kernel; or memory locked by mlockall, which has no marks.
                libc::EINVAL => self.protect.store(true, Relaxed),
                errno => return Err(StackError::Guard(errno)),
            }
        }
        // SAFETY: as above.
        match unsafe { libc::mprotect(start, size, libc::PROT_NONE) } {
            0 => Ok(()),
            _ => Err(StackError::Guard(errno())),
        }
    }

    /// How guards are made from now on.
    #[cfg(all(test, not(loom)))]
    pub(super) fn guards(&self) -> Guards {
        if self.protect.load(Relaxed) { Guards::Protected } else { Guards::Marked }
    }
}
