//! What the tests need to know of aarch64: registers to fill, a control word to set, instructions to step through.

pub(super) use super::breakpoints::{step_from_now, step_on, switch_bytes, switch_stepping};
use crate::arch::switch;
use core::arch::{asm, naked_asm};
use std::ffi::c_void;

/// The registers that a callee preserves, but for the stack pointer: x19 to x29, d8 to d15.
pub(super) const REGISTERS: usize = 19;

/// The stack pointer at a function's first instruction, modulo 16.
pub(super) const ALIGNMENT_AT_ENTRY: usize = 0;

/// The distance from the start of `base` to where a fresh stack enters it (X4).
pub(super) const INTO_BASE: usize = 4;

/// Which way to round, and more: fpcr.
pub(crate) type Control = u64;

pub(crate) const DEFAULT: Control = 0;
pub(super) const DOWN: Control = 2 << 22;
pub(crate) const UP: Control = 1 << 22;

pub(crate) fn control() -> Control {
    let word;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack)) };
    word
}

/// Sets the control word. What the compiler makes of it is the test's concern: it does no arithmetic meanwhile.
pub(crate) fn set_control(word: Control) {
    // SAFETY: the callers restore the default before any floating-point arithmetic.
    unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack)) };
}

/// Fills every register a callee preserves with `seed`, `seed + 1`, ..., switches, and stores how they come back.
///
/// Naked, because no compiler lets inline assembly own x19 and x29.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn switch_with_registers(
    out: *mut [u64; REGISTERS],
    seed: u64,
    save: *mut *mut u8,
    load: *mut u8,
) {
    naked_asm!(
        "sub sp, sp, #176",
        "stp x19, x20, [sp, #0]", "stp x21, x22, [sp, #16]", "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]", "stp x27, x28, [sp, #64]", "stp x29, x30, [sp, #80]",
        "stp d8, d9, [sp, #96]", "stp d10, d11, [sp, #112]", "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "str x0, [sp, #160]",
        "add x19, x1, #0", "add x20, x1, #1", "add x21, x1, #2", "add x22, x1, #3",
        "add x23, x1, #4", "add x24, x1, #5", "add x25, x1, #6", "add x26, x1, #7",
        "add x27, x1, #8", "add x28, x1, #9", "add x29, x1, #10",
        "add x9, x1, #11", "fmov d8, x9", "add x9, x1, #12", "fmov d9, x9",
        "add x9, x1, #13", "fmov d10, x9", "add x9, x1, #14", "fmov d11, x9",
        "add x9, x1, #15", "fmov d12, x9", "add x9, x1, #16", "fmov d13, x9",
        "add x9, x1, #17", "fmov d14, x9", "add x9, x1, #18", "fmov d15, x9",
        "mov x0, x2", "mov x1, x3", "bl {switch}", "ldr x0, [sp, #160]",
        "str x19, [x0, #0]", "str x20, [x0, #8]", "str x21, [x0, #16]", "str x22, [x0, #24]",
        "str x23, [x0, #32]", "str x24, [x0, #40]", "str x25, [x0, #48]", "str x26, [x0, #56]",
        "str x27, [x0, #64]", "str x28, [x0, #72]", "str x29, [x0, #80]", "str d8, [x0, #88]",
        "str d9, [x0, #96]", "str d10, [x0, #104]", "str d11, [x0, #112]", "str d12, [x0, #120]",
        "str d13, [x0, #128]", "str d14, [x0, #136]", "str d15, [x0, #144]",
        "ldp x19, x20, [sp, #0]", "ldp x21, x22, [sp, #16]", "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]", "ldp x27, x28, [sp, #64]", "ldp x29, x30, [sp, #80]",
        "ldp d8, d9, [sp, #96]", "ldp d10, d11, [sp, #112]", "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "add sp, sp, #176", "ret",
        switch = sym switch,
    )
}

/// An entry function that tells the stack pointer it finds: `arg` is `[found, outside, inside]`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn report_stack_pointer(arg: *mut ()) -> *mut u8 {
    naked_asm!(
        "mov x9, sp",
        "str x9, [x0]",
        "ldr x1, [x0, #8]",
        "add x0, x0, #16",
        "bl {switch}",
        "brk #1",
        switch = sym switch,
    )
}

/// The bytes of the instruction at `at`.
pub(super) fn instruction_bytes(_at: *const u8) -> usize {
    4
}

/// `brk #0`
pub(super) const BREAKPOINT: &[u8] = &[0x00, 0x00, 0x20, 0xD4];

/// `ret`
pub(super) const RETURN: &[u8] = &[0xC0, 0x03, 0x5F, 0xD6];

/// Makes the processor see what was written between the two addresses.
pub(super) fn flush_instructions(start: *const u8, end: *const u8) {
    unsafe extern "C" {
        fn __clear_cache(start: *const u8, end: *const u8);
    }
    // SAFETY: touches no memory.
    unsafe { __clear_cache(start, end) }
}

/// The instruction that a signal came before.
///
/// # Safety
///
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(super) unsafe fn interrupted_instruction(context: *const c_void) -> usize {
    // SAFETY: what the kernel gives a handler of this kind.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.pc as usize }
}
