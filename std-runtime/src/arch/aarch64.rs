//! The context switch for aarch64, AAPCS64.
//!
//! ```text
//!        RUNNING                     SUSPENDED                       FRESH
//!
//!   top ┌─────────────┐         top ┌─────────────┐         top ┌─────────────┐
//!       │ base frame  │             │ base frame  │             │ 0..15 spare │  so that sp is 16-aligned
//!       │ frames ...  │             │ frames ...  │             ├─────────────┤
//!       │ caller of   │             │ caller of   │     sp +168 │ unused      │
//!       │ switch      │             │ switch      │        +160 │ fpcr = 0    │
//!    sp ├─────────────┤             ├─────────────┤         +96 │ d8-d15 = 0  │
//!       │ not in use  │     sp +168 │ unused      │         +88 │ `base` + 4  │  x30, where `ret` goes
//!       │             │        +160 │ fpcr        │         +80 │ x29 = 0     │  ends a chain of frame pointers
//!       │             │         +96 │ d8 ... d15  │         +16 │ x21-x28 = 0 │
//!       │             │         +88 │ x30 (lr)    │          +8 │ x20 = arg   │
//!       │             │         +80 │ x29 (fp)    │      sp  +0 │ x19 = entry │
//!       │             │      sp  +0 │ x19 ... x28 │             └─────────────┘
//!       └─────────────┘             └─────────────┘
//! ```
//!
//! * X1  A parked frame is `FRAME` bytes in this order, fresh or suspended: one `switch` resumes both, and one set of
//!   call-frame rules describes both, before and after `sp` changes.
//! * X2  A fresh frame "returns" to `base` with x19 = entry, x20 = arg, x29 = 0 and sp a multiple of 16, which the
//!   processor insists on whenever sp is an address.
//! * X3  `base` says that its return address is undefined, which is how call-frame information spells "no caller".
//! * X4  An unwinder looks up the byte *before* a return address. The fresh frame therefore returns to the second
//!   instruction of `base`; the first is a `nop` that is there to be found.
//!
//! Of the vector registers a callee preserves the low halves only, which is what d8 to d15 are; SVE's predicates and wide
//! halves are the caller's. A write of fpcr stalls many cores, so it happens only where the two stacks differ.
//!
//! * Branch targets (BTI): `switch` may be called through a register, so it begins with `bti c`. `base` is entered by a
//!   `ret`, which needs no landing pad.
//! * Signed return addresses (PAC): a caller of `switch` that signs, signs with its own sp, and finds both as they were. The
//!   address that `switch` itself saves is not signed, nor is that of a fresh frame, so there is nothing to authenticate:
//!   whoever can write to a parked stack can choose where it goes on, as on x86_64. Keys are the process's, so a stack may
//!   be entered by any of its threads.
//! * x18 is left alone. A program that keeps a shadow call stack there would need one for each stack.
//! * Streaming mode and the ZA array (SME) must be off or dormant at a switch, as the convention has it at any call.

use super::Entry;
use core::arch::{asm, naked_asm};
use core::ffi::c_void;

/// Bytes of a parked frame: twelve registers, eight halves of vectors, one control word, one word to spare.
const FRAME: usize = 176;

/// What a process starts with: every exception masked, round to nearest, denormals kept.
const FPCR: usize = 0;

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
        ".cfi_startproc",
        "hint #34", // bti c
        // x0 = save, x1 = load. Build the suspended frame.
        "sub sp, sp, #{FRAME}",
        ".cfi_def_cfa_offset {FRAME}",
        "stp x19, x20, [sp, #0]",
        ".cfi_rel_offset x19, 0",
        ".cfi_rel_offset x20, 8",
        "stp x21, x22, [sp, #16]",
        ".cfi_rel_offset x21, 16",
        ".cfi_rel_offset x22, 24",
        "stp x23, x24, [sp, #32]",
        ".cfi_rel_offset x23, 32",
        ".cfi_rel_offset x24, 40",
        "stp x25, x26, [sp, #48]",
        ".cfi_rel_offset x25, 48",
        ".cfi_rel_offset x26, 56",
        "stp x27, x28, [sp, #64]",
        ".cfi_rel_offset x27, 64",
        ".cfi_rel_offset x28, 72",
        "stp x29, x30, [sp, #80]",
        ".cfi_rel_offset x29, 80",
        ".cfi_rel_offset x30, 88",
        "stp d8, d9, [sp, #96]",
        ".cfi_rel_offset d8, 96",
        ".cfi_rel_offset d9, 104",
        "stp d10, d11, [sp, #112]",
        ".cfi_rel_offset d10, 112",
        ".cfi_rel_offset d11, 120",
        "stp d12, d13, [sp, #128]",
        ".cfi_rel_offset d12, 128",
        ".cfi_rel_offset d13, 136",
        "stp d14, d15, [sp, #144]",
        ".cfi_rel_offset d14, 144",
        ".cfi_rel_offset d15, 152",
        "mrs x9, fpcr", // x9 = the control word in force, to the end
        "str x9, [sp, #160]",
        // The one instant that matters. By X1 the rules above describe the frame on either side of it.
        "mov x10, sp",
        "str x10, [x0]",
        "mov sp, x1",
        // Take the other frame apart. It stays where the rules say until sp moves.
        "ldr x10, [sp, #160]", // x10 = the control word wanted
        "cmp x9, x10",
        "b.eq 2f",
        "msr fpcr, x10",
        "2:",
        "ldp x19, x20, [sp, #0]",
        "ldp x21, x22, [sp, #16]",
        "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]",
        "ldp x29, x30, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "add sp, sp, #{FRAME}",
        ".cfi_def_cfa_offset 0",
        ".cfi_same_value x19",
        ".cfi_same_value x20",
        ".cfi_same_value x21",
        ".cfi_same_value x22",
        ".cfi_same_value x23",
        ".cfi_same_value x24",
        ".cfi_same_value x25",
        ".cfi_same_value x26",
        ".cfi_same_value x27",
        ".cfi_same_value x28",
        ".cfi_same_value x29",
        ".cfi_same_value x30",
        ".cfi_same_value d8",
        ".cfi_same_value d9",
        ".cfi_same_value d10",
        ".cfi_same_value d11",
        ".cfi_same_value d12",
        ".cfi_same_value d13",
        ".cfi_same_value d14",
        ".cfi_same_value d15",
        "ret",
        ".cfi_endproc",
        FRAME = const FRAME,
    )
}

/// Where a fresh stack starts and ends: calls x19 with x20. Never called; by X4 it is entered at its second instruction.
#[unsafe(naked)]
unsafe extern "C" fn base() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined x30", // X3: the chain of callers ends here.
        "nop",
        // sp is a multiple of 16 (X2), as the convention asks before a call.
        "mov x0, x20",
        "blr x19",
        // A5: to the stack that it has returned. What is saved of this one goes on it, and nobody loads it.
        "sub sp, sp, #16",
        ".cfi_def_cfa_offset 16",
        "mov x1, x0",
        "mov x0, sp",
        "bl {switch}",
        "brk #1",
        ".cfi_endproc",
        switch = sym switch,
    )
}

/// Writes the first frame of a stack that ends at `top`; the first `switch` to the result calls `entry(arg)` on it.
///
/// `entry` starts with the floating-point control word of a new process, whatever the OS thread uses. It must not let
/// a panic out: there is nobody above it to catch one. What it returns is entered (A5).
///
/// # Safety
///
/// The 192 bytes below `top` are writable and nothing else uses them until the stack is entered. If `entry` returns, then what A5 wants.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, arg: *mut ()) -> *mut u8 {
    let spare = top.addr() % 16;
    // SAFETY: at most 15 + 176 bytes below `top`, which the caller gives us.
    let frame = unsafe { top.sub(spare + FRAME) };
    let mut words = [core::ptr::null_mut(); FRAME / 8];
    words[0] = entry as *mut (); // x19
    words[1] = arg; // x20
    words[11] = (base as *mut ()).cast::<u8>().wrapping_add(4).cast(); // x30, by X4
    words[20] = core::ptr::without_provenance_mut(FPCR);
    // SAFETY: `frame` is a multiple of 16, and its FRAME bytes are the caller's gift.
    unsafe { frame.cast::<[*mut (); FRAME / 8]>().write(words) };
    frame
}

/// Gives the running stack the control word of a fresh one. A look at it, as a rule.
#[inline]
pub(crate) fn reset_control_words() {
    let fpcr: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
    if fpcr != FPCR {
        // SAFETY: the word that all Rust code wants to find.
        unsafe { asm!("msr fpcr, {}", in(reg) FPCR, options(nomem, nostack, preserves_flags)) };
    }
}

/// Asks for the line of the cache around `address`.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    // SAFETY: a hint: an address that cannot be read is passed over.
    unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly)) }
}

/// The stack pointer at the instruction that a signal interrupted.
///
/// # Safety
///
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(crate) unsafe fn interrupted_stack_pointer(context: *const c_void) -> usize {
    // SAFETY: the kernel hands every such handler a `ucontext_t` of the interrupted thread.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.sp as usize }
}
