//! The context switch for riscv64, LP64D calling convention.
//!
//! ```text
//!        RUNNING                     SUSPENDED                       FRESH
//!
//!   top ┌─────────────┐         top ┌─────────────┐         top ┌─────────────┐
//!       │ base frame  │             │ base frame  │             │ 0..15 spare │  so that sp is 16-aligned
//!       │ frames ...  │             │ frames ...  │             ├─────────────┤
//!       │ caller of   │             │ caller of   │     sp +200 │ frm = 0     │
//!       │ switch      │             │ switch      │        +104 │ fs0-fs11 = 0│
//!    sp ├─────────────┤             ├─────────────┤         +96 │ `base` + 4  │  ra, where `ret` goes
//!       │ not in use  │     sp +200 │ frm         │         +24 │ s3-s11 = 0  │
//!       │             │        +104 │ fs0 ... fs11│         +16 │ s2 = arg    │
//!       │             │         +96 │ ra          │          +8 │ s1 = entry  │
//!       │             │      sp  +0 │ s0 ... s11  │      sp  +0 │ s0 = 0      │  ends a chain of frame pointers
//!       └─────────────┘             └─────────────┘             └─────────────┘
//! ```
//!
//! * X1  A parked frame is `FRAME` bytes in this order, fresh or suspended: one `switch` resumes both, and one set of
//!   call-frame rules describes both, before and after `sp` changes.
//! * X2  A fresh frame "returns" to `base` with s1 = entry, s2 = arg, s0 = 0 and sp a multiple of 16.
//! * X3  `base` says that its return address is undefined, which is how call-frame information spells "no caller".
//! * X4  An unwinder looks up the byte *before* a return address. The fresh frame therefore returns to the second
//!   instruction of `base`; the first is a `nop` that is there to be found, of four bytes even where two would do.
//!
//! Of fcsr the rounding mode (frm) belongs to the stack; the flags of what happened do not, as after any call. A write of
//! it stalls many cores, so it happens only where the two stacks differ. Vector registers and their control words are the
//! caller's. gp and tp are the program's and the thread's, and left alone.
//!
//! The instruction sequences need D, the double-precision registers, and so does the convention: `.option arch` tells the
//! assembler what the target has already promised, for it is not told in functions of this kind.

use super::Entry;
use core::arch::{asm, naked_asm};
use core::ffi::c_void;

/// Bytes of a parked frame: thirteen registers, twelve floating-point registers, one control word.
const FRAME: usize = 208;

/// What a process starts with: round to nearest, ties to even.
const ROUNDING: usize = 0;

/// Leaves the running stack, with its stack pointer in `*save`, and enters the stack parked at `load`.
///
/// Returns when another `switch` loads what this one saved.
///
/// # Safety
///
/// * `load` is parked (A1) and its stack is mapped; the stack may be entered by this OS thread.
/// * `save` is writable and stays so until the store, which happens before anything of the other stack is touched. It
///   may alias the place `load` was read from.
/// * The caller's frames stay in place until this stack is loaded again, or never run again.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(save: *mut *mut u8, load: *mut u8) {
    naked_asm!(
        ".option push",
        ".option arch, +d",
        ".cfi_startproc",
        // a0 = save, a1 = load. Build the suspended frame.
        "addi sp, sp, -{FRAME}",
        ".cfi_def_cfa_offset {FRAME}",
        "sd s0, 0(sp)",
        ".cfi_rel_offset s0, 0",
        "sd s1, 8(sp)",
        ".cfi_rel_offset s1, 8",
        "sd s2, 16(sp)",
        ".cfi_rel_offset s2, 16",
        "sd s3, 24(sp)",
        ".cfi_rel_offset s3, 24",
        "sd s4, 32(sp)",
        ".cfi_rel_offset s4, 32",
        "sd s5, 40(sp)",
        ".cfi_rel_offset s5, 40",
        "sd s6, 48(sp)",
        ".cfi_rel_offset s6, 48",
        "sd s7, 56(sp)",
        ".cfi_rel_offset s7, 56",
        "sd s8, 64(sp)",
        ".cfi_rel_offset s8, 64",
        "sd s9, 72(sp)",
        ".cfi_rel_offset s9, 72",
        "sd s10, 80(sp)",
        ".cfi_rel_offset s10, 80",
        "sd s11, 88(sp)",
        ".cfi_rel_offset s11, 88",
        "sd ra, 96(sp)",
        ".cfi_rel_offset ra, 96",
        "fsd fs0, 104(sp)",
        ".cfi_rel_offset fs0, 104",
        "fsd fs1, 112(sp)",
        ".cfi_rel_offset fs1, 112",
        "fsd fs2, 120(sp)",
        ".cfi_rel_offset fs2, 120",
        "fsd fs3, 128(sp)",
        ".cfi_rel_offset fs3, 128",
        "fsd fs4, 136(sp)",
        ".cfi_rel_offset fs4, 136",
        "fsd fs5, 144(sp)",
        ".cfi_rel_offset fs5, 144",
        "fsd fs6, 152(sp)",
        ".cfi_rel_offset fs6, 152",
        "fsd fs7, 160(sp)",
        ".cfi_rel_offset fs7, 160",
        "fsd fs8, 168(sp)",
        ".cfi_rel_offset fs8, 168",
        "fsd fs9, 176(sp)",
        ".cfi_rel_offset fs9, 176",
        "fsd fs10, 184(sp)",
        ".cfi_rel_offset fs10, 184",
        "fsd fs11, 192(sp)",
        ".cfi_rel_offset fs11, 192",
        "frrm t0", // t0 = the rounding mode in force, to the end
        "sd t0, 200(sp)",
        // The one instant that matters. By X1 the rules above describe the frame on either side of it.
        "sd sp, 0(a0)",
        "mv sp, a1",
        // Take the other frame apart. It stays where the rules say until sp moves.
        "ld t1, 200(sp)", // t1 = the rounding mode wanted
        "beq t0, t1, 2f",
        "fsrm t1",
        "2:",
        "ld s0, 0(sp)",
        "ld s1, 8(sp)",
        "ld s2, 16(sp)",
        "ld s3, 24(sp)",
        "ld s4, 32(sp)",
        "ld s5, 40(sp)",
        "ld s6, 48(sp)",
        "ld s7, 56(sp)",
        "ld s8, 64(sp)",
        "ld s9, 72(sp)",
        "ld s10, 80(sp)",
        "ld s11, 88(sp)",
        "ld ra, 96(sp)",
        "fld fs0, 104(sp)",
        "fld fs1, 112(sp)",
        "fld fs2, 120(sp)",
        "fld fs3, 128(sp)",
        "fld fs4, 136(sp)",
        "fld fs5, 144(sp)",
        "fld fs6, 152(sp)",
        "fld fs7, 160(sp)",
        "fld fs8, 168(sp)",
        "fld fs9, 176(sp)",
        "fld fs10, 184(sp)",
        "fld fs11, 192(sp)",
        "addi sp, sp, {FRAME}",
        ".cfi_def_cfa_offset 0",
        ".cfi_same_value s0",
        ".cfi_same_value s1",
        ".cfi_same_value s2",
        ".cfi_same_value s3",
        ".cfi_same_value s4",
        ".cfi_same_value s5",
        ".cfi_same_value s6",
        ".cfi_same_value s7",
        ".cfi_same_value s8",
        ".cfi_same_value s9",
        ".cfi_same_value s10",
        ".cfi_same_value s11",
        ".cfi_same_value ra",
        ".cfi_same_value fs0",
        ".cfi_same_value fs1",
        ".cfi_same_value fs2",
        ".cfi_same_value fs3",
        ".cfi_same_value fs4",
        ".cfi_same_value fs5",
        ".cfi_same_value fs6",
        ".cfi_same_value fs7",
        ".cfi_same_value fs8",
        ".cfi_same_value fs9",
        ".cfi_same_value fs10",
        ".cfi_same_value fs11",
        "ret",
        ".cfi_endproc",
        ".option pop",
        FRAME = const FRAME,
    )
}

/// Where a fresh stack starts and ends: calls s1 with s2. Never called; by X4 it is entered at its second instruction.
#[unsafe(naked)]
unsafe extern "C" fn base() {
    naked_asm!(
        ".option push",
        ".option norvc", // X4: four bytes for the nop
        ".cfi_startproc",
        ".cfi_undefined ra", // X3: the chain of callers ends here.
        "nop",
        // sp is a multiple of 16 (X2), as the convention asks before a call.
        "mv a0, s2",
        "jalr s1",
        // A5: to the stack that it has returned. What is saved of this one goes on it, and nobody loads it.
        "addi sp, sp, -16",
        ".cfi_def_cfa_offset 16",
        "mv a1, a0",
        "mv a0, sp",
        "call {switch}",
        "unimp",
        ".cfi_endproc",
        ".option pop",
        switch = sym switch,
    )
}

/// Writes the first frame of a stack that ends at `top`; the first `switch` to the result calls `entry(arg)` on it.
///
/// `entry` starts with the rounding mode of a new process, whatever the OS thread uses. It must not let a panic out:
/// there is nobody above it to catch one. What it returns is entered (A5).
///
/// # Safety
///
/// The 224 bytes below `top` are writable and nothing else uses them until the stack is entered. If `entry` returns, then what A5 wants.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, arg: *mut ()) -> *mut u8 {
    let spare = top.addr() % 16;
    // SAFETY: at most 15 + 208 bytes below `top`, which the caller gives us.
    let frame = unsafe { top.sub(spare + FRAME) };
    let mut words = [core::ptr::null_mut(); FRAME / 8];
    words[1] = entry as *mut (); // s1
    words[2] = arg; // s2
    words[12] = (base as *mut ()).cast::<u8>().wrapping_add(4).cast(); // ra, by X4
    words[25] = core::ptr::without_provenance_mut(ROUNDING);
    // SAFETY: `frame` is a multiple of 16, and its FRAME bytes are the caller's gift.
    unsafe { frame.cast::<[*mut (); FRAME / 8]>().write(words) };
    frame
}

/// Gives the running stack the rounding mode of a fresh one. A look at it, as a rule.
#[inline]
pub(crate) fn reset_control_words() {
    let rounding: usize;
    // SAFETY: reads a register.
    unsafe { asm!("frrm {}", out(reg) rounding, options(nomem, nostack, preserves_flags)) };
    if rounding != ROUNDING {
        // SAFETY: the mode that all Rust code wants to find.
        unsafe { asm!("fsrm {}", in(reg) ROUNDING, options(nomem, nostack, preserves_flags)) };
    }
}

/// Nothing: the instruction for it is not part of the base that we build for.
#[inline(always)]
pub(crate) fn prefetch(_: *const u8) {}

/// The stack pointer at the instruction that a signal interrupted.
///
/// # Safety
///
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(crate) unsafe fn interrupted_stack_pointer(context: *const c_void) -> usize {
    // SAFETY: the kernel hands every such handler a `ucontext_t` of the interrupted thread.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.__gregs[libc::REG_SP] as usize }
}
