//! What the tests need to know of riscv64: registers to fill, a control word to set, instructions to step through.

pub(super) use super::breakpoints::{step_from_now, step_on, switch_bytes, switch_stepping};
use crate::arch::switch;
use core::arch::{asm, naked_asm};
use std::ffi::c_void;

/// The registers that a callee preserves, but for the stack pointer: s0 to s11, fs0 to fs11.
pub(super) const REGISTERS: usize = 24;

/// The stack pointer at a function's first instruction, modulo 16.
pub(super) const ALIGNMENT_AT_ENTRY: usize = 0;

/// The distance from the start of `base` to where a fresh stack enters it (X4).
pub(super) const INTO_BASE: usize = 4;

/// Which way to round: frm.
pub(crate) type Control = u64;

pub(crate) const DEFAULT: Control = 0;
pub(super) const DOWN: Control = 2;
pub(crate) const UP: Control = 3;

pub(crate) fn control() -> Control {
    let word;
    // SAFETY: reads a register.
    unsafe { asm!("frrm {}", out(reg) word, options(nostack)) };
    word
}

/// Sets the control word. What the compiler makes of it is the test's concern: it does no arithmetic meanwhile.
pub(crate) fn set_control(word: Control) {
    // SAFETY: the callers restore the default before any floating-point arithmetic.
    unsafe { asm!("fsrm {}", in(reg) word, options(nostack)) };
}

/// Fills every register a callee preserves with `seed`, `seed + 1`, ..., switches, and stores how they come back.
///
/// Naked, because no compiler lets inline assembly own s0 and s1.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn switch_with_registers(
    out: *mut [u64; REGISTERS],
    seed: u64,
    save: *mut *mut u8,
    load: *mut u8,
) {
    naked_asm!(
        ".option push", ".option arch, +d",
        "addi sp, sp, -224",
        "sd s0, 0(sp)", "sd s1, 8(sp)", "sd s2, 16(sp)", "sd s3, 24(sp)", "sd s4, 32(sp)",
        "sd s5, 40(sp)", "sd s6, 48(sp)", "sd s7, 56(sp)", "sd s8, 64(sp)", "sd s9, 72(sp)",
        "sd s10, 80(sp)", "sd s11, 88(sp)", "sd ra, 96(sp)", "sd a0, 104(sp)", "fsd fs0, 112(sp)",
        "fsd fs1, 120(sp)", "fsd fs2, 128(sp)", "fsd fs3, 136(sp)", "fsd fs4, 144(sp)", "fsd fs5, 152(sp)",
        "fsd fs6, 160(sp)", "fsd fs7, 168(sp)", "fsd fs8, 176(sp)", "fsd fs9, 184(sp)", "fsd fs10, 192(sp)",
        "fsd fs11, 200(sp)",
        "addi s0, a1, 0", "addi s1, a1, 1", "addi s2, a1, 2", "addi s3, a1, 3",
        "addi s4, a1, 4", "addi s5, a1, 5", "addi s6, a1, 6", "addi s7, a1, 7",
        "addi s8, a1, 8", "addi s9, a1, 9", "addi s10, a1, 10", "addi s11, a1, 11",
        "addi t0, a1, 12", "fmv.d.x fs0, t0", "addi t0, a1, 13", "fmv.d.x fs1, t0",
        "addi t0, a1, 14", "fmv.d.x fs2, t0", "addi t0, a1, 15", "fmv.d.x fs3, t0",
        "addi t0, a1, 16", "fmv.d.x fs4, t0", "addi t0, a1, 17", "fmv.d.x fs5, t0",
        "addi t0, a1, 18", "fmv.d.x fs6, t0", "addi t0, a1, 19", "fmv.d.x fs7, t0",
        "addi t0, a1, 20", "fmv.d.x fs8, t0", "addi t0, a1, 21", "fmv.d.x fs9, t0",
        "addi t0, a1, 22", "fmv.d.x fs10, t0", "addi t0, a1, 23", "fmv.d.x fs11, t0",
        "mv a0, a2", "mv a1, a3", "call {switch}", "ld a0, 104(sp)",
        "sd s0, 0(a0)", "sd s1, 8(a0)", "sd s2, 16(a0)", "sd s3, 24(a0)", "sd s4, 32(a0)",
        "sd s5, 40(a0)", "sd s6, 48(a0)", "sd s7, 56(a0)", "sd s8, 64(a0)", "sd s9, 72(a0)",
        "sd s10, 80(a0)", "sd s11, 88(a0)", "fsd fs0, 96(a0)", "fsd fs1, 104(a0)", "fsd fs2, 112(a0)",
        "fsd fs3, 120(a0)", "fsd fs4, 128(a0)", "fsd fs5, 136(a0)", "fsd fs6, 144(a0)", "fsd fs7, 152(a0)",
        "fsd fs8, 160(a0)", "fsd fs9, 168(a0)", "fsd fs10, 176(a0)", "fsd fs11, 184(a0)",
        "ld s0, 0(sp)", "ld s1, 8(sp)", "ld s2, 16(sp)", "ld s3, 24(sp)", "ld s4, 32(sp)",
        "ld s5, 40(sp)", "ld s6, 48(sp)", "ld s7, 56(sp)", "ld s8, 64(sp)", "ld s9, 72(sp)",
        "ld s10, 80(sp)", "ld s11, 88(sp)", "ld ra, 96(sp)", "ld a0, 104(sp)", "fld fs0, 112(sp)",
        "fld fs1, 120(sp)", "fld fs2, 128(sp)", "fld fs3, 136(sp)", "fld fs4, 144(sp)", "fld fs5, 152(sp)",
        "fld fs6, 160(sp)", "fld fs7, 168(sp)", "fld fs8, 176(sp)", "fld fs9, 184(sp)", "fld fs10, 192(sp)",
        "fld fs11, 200(sp)",
        "addi sp, sp, 224", "ret",
        ".option pop",
        switch = sym switch,
    )
}

/// An entry function that tells the stack pointer it finds: `arg` is `[found, outside, inside]`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn report_stack_pointer(arg: *mut ()) -> *mut u8 {
    naked_asm!(
        "sd sp, 0(a0)",
        "ld a1, 8(a0)",
        "addi a0, a0, 16",
        "call {switch}",
        "unimp",
        switch = sym switch,
    )
}

/// The bytes of the instruction at `at`, as its lowest two bits say.
pub(super) fn instruction_bytes(at: *const u8) -> usize {
    // SAFETY: the callers ask about instructions only.
    if unsafe { *at } & 3 == 3 { 4 } else { 2 }
}

/// `c.ebreak`, which takes the place of the first half of a longer instruction as well.
pub(super) const BREAKPOINT: &[u8] = &[0x02, 0x90];

/// `c.jr ra`, as assemblers write `ret` where there are short instructions.
pub(super) const RETURN: &[u8] = &[0x82, 0x80];

/// Makes the processor see what was written between the two addresses.
pub(super) fn flush_instructions(start: *const u8, end: *const u8) {
    const RISCV_FLUSH_ICACHE: libc::c_long = 259;
    // SAFETY: touches no memory.
    unsafe { libc::syscall(RISCV_FLUSH_ICACHE, start, end, 0) };
}

/// The instruction that a signal came before.
///
/// # Safety
///
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(super) unsafe fn interrupted_instruction(context: *const c_void) -> usize {
    // SAFETY: what the kernel gives a handler of this kind.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.__gregs[libc::REG_PC] as usize }
}
