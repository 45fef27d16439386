//! Stepping through `switch` where the processor has no flag for it that a process may set: a breakpoint in the place of
//! every instruction but the one that is to run next.
//!
//! ```text
//!   trap at n:   ...  BREAK  BREAK  [n]  BREAK  ...      n is back, so that it runs
//!   trap at n+1: ...  BREAK  BREAK  BREAK  [n+1]  ...    n is a breakpoint again
//! ```
//!
//! The code of `switch` is every thread's: a process that steps has one thread that switches, and is not the one that runs
//! the other tests.

use super::processor::{BREAKPOINT, RETURN, flush_instructions, instruction_bytes};
use crate::arch::switch;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::*};

/// Where the instructions of `switch` begin, and the bytes that a breakpoint overwrites there.
static INSTRUCTIONS: OnceLock<Vec<(usize, [u8; BREAKPOINT.len()])>> = OnceLock::new();

/// The instruction that is in its place although the rest is not; 0 if there is none.
static IN_PLACE: AtomicUsize = AtomicUsize::new(0);

/// The length of `switch`.
pub(super) fn switch_bytes() -> usize {
    let (last, _) = instructions().last().expect("it returns");
    last + RETURN.len() - switch as *const () as usize
}

/// The same, by looking for its only `ret`, before the first breakpoint is set.
fn find_return() -> usize {
    let (start, mut bytes) = (switch as *const u8, 0);
    // SAFETY: reads instructions, the last of which is looked for.
    while unsafe { std::slice::from_raw_parts(start.add(bytes), RETURN.len()) } != RETURN {
        bytes += instruction_bytes(start.wrapping_add(bytes));
        assert!(bytes < 1024, "no `ret`");
    }
    bytes + RETURN.len()
}

fn instructions() -> &'static [(usize, [u8; BREAKPOINT.len()])] {
    INSTRUCTIONS.get_or_init(|| {
        let (start, bytes) = (switch as *const u8, find_return());
        // SAFETY: only asks; then pages of code become writable, too.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let first = start.wrapping_sub(start.addr() % page).cast_mut();
            let length = (start.addr() + bytes - first.addr()).next_multiple_of(page);
            let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            assert_eq!(libc::mprotect(first.cast(), length, all), 0, "code can be made writable");
        }
        let mut list = Vec::new();
        let mut offset = 0;
        while offset < bytes {
            let at = start.wrapping_add(offset);
            // SAFETY: an instruction of `switch`.
            list.push((at.expose_provenance(), unsafe { at.cast::<[u8; BREAKPOINT.len()]>().read() }));
            offset += instruction_bytes(at);
        }
        list
    })
}

fn write(at: usize, bytes: &[u8]) {
    let to = std::ptr::with_exposed_provenance_mut::<u8>(at);
    // SAFETY: code that was made writable, and that no other thread runs.
    unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    flush_instructions(to, to.wrapping_add(bytes.len()));
}

/// Called at the breakpoint `at`: lets the instruction there run, and stops at the next one.
pub(super) fn step_on(at: usize) {
    let before = IN_PLACE.swap(at, Relaxed);
    for (instruction, bytes) in instructions() {
        if *instruction == at {
            write(at, bytes);
        } else if *instruction == before {
            write(before, BREAKPOINT);
        }
    }
}

/// Sets a breakpoint at every instruction of `switch`: until a [`switch_stepping`] returns.
///
/// # Safety
///
/// The next switch is to a stack that waits in one.
pub(super) unsafe fn step_from_now() {
    IN_PLACE.store(0, Relaxed);
    instructions().iter().for_each(|(at, _)| write(*at, BREAKPOINT));
}

/// Switches with SIGTRAP before every instruction of `switch`, until this returns on either stack.
///
/// # Safety
///
/// As for `switch`.
#[inline(never)]
pub(super) unsafe extern "C" fn switch_stepping(save: *mut *mut u8, load: *mut u8) {
    // SAFETY: the caller's promise, and the next switch returns here.
    unsafe {
        step_from_now();
        switch(save, load);
    }
    instructions().iter().for_each(|(at, bytes)| write(*at, bytes));
}
