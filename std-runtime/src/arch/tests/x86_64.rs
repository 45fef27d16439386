//! What the tests need to know of x86_64: registers to fill, control words to set, instructions to step through.

use crate::arch::switch;
use core::arch::{asm, naked_asm};
use std::ffi::c_void;

/// The registers that a callee preserves, but for the stack pointer.
pub(super) const REGISTERS: usize = 6;

/// The stack pointer at a function's first instruction, modulo 16.
pub(super) const ALIGNMENT_AT_ENTRY: usize = 8;

/// The distance from the start of `base` to where a fresh stack enters it (X4).
pub(super) const INTO_BASE: usize = 1;

/// Which way to round: mxcsr without its low six bits, which say what happened, not what shall; and the x87 word.
pub(crate) type Control = (u32, u16);

pub(crate) const DEFAULT: Control = (0x1F80, 0x037F);
pub(super) const DOWN: Control = (0x3F80, 0x077F);
pub(crate) const UP: Control = (0x5F80, 0x0B7F);

pub(crate) fn control() -> Control {
    let (mut mxcsr, mut x87) = (0_u32, 0_u16);
    // SAFETY: stores four bytes at one local and two at another.
    unsafe { asm!("stmxcsr [{}]", "fnstcw [{}]", in(reg) &raw mut mxcsr, in(reg) &raw mut x87, options(nostack)) };
    (mxcsr & !0x3F, x87)
}

/// Sets the control words. What the compiler makes of it is the test's concern: it does no arithmetic meanwhile.
pub(crate) fn set_control((mxcsr, x87): Control) {
    // SAFETY: loads from locals; the callers restore the defaults before any floating-point arithmetic.
    unsafe { asm!("ldmxcsr [{}]", "fldcw [{}]", in(reg) &raw const mxcsr, in(reg) &raw const x87, options(nostack)) };
}

/// Fills every register a callee preserves with `seed`, `seed + 1`, ..., switches, and stores how they come back.
///
/// Naked, because no compiler lets inline assembly own rbx and rbp.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn switch_with_registers(
    out: *mut [u64; REGISTERS],
    seed: u64,
    save: *mut *mut u8,
    load: *mut u8,
) {
    naked_asm!(
        "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15",
        "push rdi",
        "lea rbx, [rsi]", "lea rbp, [rsi + 1]", "lea r12, [rsi + 2]",
        "lea r13, [rsi + 3]", "lea r14, [rsi + 4]", "lea r15, [rsi + 5]",
        "mov rdi, rdx",
        "mov rsi, rcx",
        "call {switch}",
        "pop rdi",
        "mov [rdi], rbx", "mov [rdi + 8], rbp", "mov [rdi + 16], r12",
        "mov [rdi + 24], r13", "mov [rdi + 32], r14", "mov [rdi + 40], r15",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
        "ret",
        switch = sym switch,
    )
}

/// An entry function that tells the stack pointer it finds: `arg` is `[found, outside, inside]`. `movaps` faults on a
/// misaligned stack.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn report_stack_pointer(arg: *mut ()) -> *mut u8 {
    naked_asm!(
        "mov [rdi], rsp",
        "sub rsp, 8",
        "xorps xmm0, xmm0",
        "movaps [rsp - 16], xmm0",
        "mov rsi, [rdi + 8]",
        "lea rdi, [rdi + 16]",
        "call {switch}",
        "ud2",
        switch = sym switch,
    )
}

/// Switches with the processor's trap flag set: SIGTRAP after every instruction, until this returns on either stack.
///
/// The flag is the thread's, not the stack's: set on the way out of one stack, it is cleared on the way into another.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn switch_stepping(save: *mut *mut u8, load: *mut u8) {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8", ".cfi_adjust_cfa_offset 8",
        "pushf", ".cfi_adjust_cfa_offset 8",
        "or qword ptr [rsp], 256",
        "popf", ".cfi_adjust_cfa_offset -8",
        "call {switch}",
        "pushf", ".cfi_adjust_cfa_offset 8",
        "and qword ptr [rsp], -257",
        "popf", ".cfi_adjust_cfa_offset -8",
        "add rsp, 8", ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        switch = sym switch,
    )
}

/// Sets the trap flag: SIGTRAP after every instruction, until a [`switch_stepping`] returns.
///
/// # Safety
///
/// The next switch is to a stack that waits in one.
pub(super) unsafe fn step_from_now() {
    // SAFETY: the handler is in place, as the caller is about to be stepped through.
    unsafe { asm!("pushf", "or qword ptr [rsp], 256", "popf") };
}

/// The length of `switch`, whose last byte is its only `ret`.
pub(super) fn switch_bytes() -> usize {
    const BYTES: usize = 51;
    // SAFETY: reads the last byte of a function.
    assert_eq!(unsafe { *(switch as *const u8).add(BYTES - 1) }, 0xC3, "`switch` has another length now");
    BYTES
}

/// The instruction that a signal came before.
///
/// # Safety
///
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(super) unsafe fn interrupted_instruction(context: *const c_void) -> usize {
    // SAFETY: what the kernel gives a handler of this kind.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] as usize }
}

/// The trap flag stays set by itself.
pub(super) fn step_on(_: usize) {}
