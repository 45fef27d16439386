//! The context switch for x86_64, System V calling convention.
//!
//! ```text
//!        RUNNING                     SUSPENDED                       FRESH
//!
//!   top ┌─────────────┐         top ┌─────────────┐         top ┌─────────────┐
//!       │ base frame  │             │ base frame  │             │ 0..15 spare │  so that +64 is 16-aligned
//!       │ frames ...  │             │ frames ...  │             ├─────────────┤
//!       │ caller of   │             │ caller of   │      sp +56 │ `base` + 1  │
//!       │ switch      │             │ switch      │         +48 │ rbp = 0     │  ends a chain of frame pointers
//!   rsp ├─────────────┤             ├─────────────┤         +40 │ rbx = 0     │
//!       │ not in use  │      sp +56 │ return addr │         +32 │ r12 = entry │
//!       │             │         +48 │ rbp         │         +24 │ r13 = arg   │
//!       │             │         +40 │ rbx         │         +16 │ r14 = 0     │
//!       │             │         +32 │ r12         │          +8 │ r15 = 0     │
//!       │             │         +24 │ r13         │          +4 │ x87  0x037F │
//!       │             │         +16 │ r14         │      sp  +0 │ mxcsr 0x1F80│
//!       │             │          +8 │ r15         │             └─────────────┘
//!       │             │          +4 │ x87 control │
//!       │             │      sp  +0 │ mxcsr       │
//!       └─────────────┘             └─────────────┘
//! ```
//!
//! * X1  A parked frame is `FRAME` bytes in this order, fresh or suspended: one `switch` resumes both, and one set of
//!   call-frame rules describes both, before and after `rsp` changes.
//! * X2  A fresh frame "returns" to `base` with r12 = entry, r13 = arg, rbp = 0 and rsp a multiple of 16.
//! * X3  `base` says that its return address is undefined, which is how call-frame information spells "no caller".
//! * X4  An unwinder looks up the byte *before* a return address. The fresh frame therefore returns to the second byte
//!   of `base`; the first is a `nop` that is there to be found.
//!
//! Roads not taken, with the figures of one Xeon core, ns a switch:
//!
//! * Leaving by `pop rcx; jmp rcx` instead of `ret` can be quicker where two stacks switch from two places (3 against
//!   14, with the comparison below), and ruins the processor's return prediction everywhere else: with calls between the
//!   task and the switch, all tasks alike, `ret` takes 7 and `jmp` 35 to 38. Tasks of one server park alike, so `ret`,
//!   and the scheduler does best with one call of `switch` for all that come back. (`base` has another, for those that do not.)
//! * Comparing the control words before loading them saves nothing under `ret` (6.8 and 6.8 alike, 13.8 and 14.2 in
//!   ping-pong of unlike stacks). Not keeping them at all would save 2.5 in the latter case and nothing in the former.

use super::Entry;
use core::arch::{asm, naked_asm};
use core::ffi::c_void;

/// Bytes of a parked frame: two control words in one, six registers, one return address.
const FRAME: usize = 64;

/// What a process starts with: every SSE exception masked, round to nearest.
const MXCSR: u64 = 0x1F80;

/// What a process starts with: every x87 exception masked, 64-bit mantissa, round to nearest.
const X87_CONTROL: u64 = 0x037F;

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
        // rdi = save, rsi = load. Build the suspended frame.
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        // The one instant that matters. By X1 the rules above describe the frame on either side of it.
        "mov [rdi], rsp",
        "mov rsp, rsi",
        // Take the other frame apart, in reverse.
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value rbp",
        "ret",
        ".cfi_endproc",
    )
}

/// Where a fresh stack starts and ends: calls r12 with r13. Never called; by X4 it is entered at its second byte.
#[unsafe(naked)]
unsafe extern "C" fn base() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip", // X3: the chain of callers ends here.
        "nop",
        // rsp is a multiple of 16 (X2), as the convention asks before a call.
        "mov rdi, r13",
        "call r12",
        // A5: to the stack that it has returned. What is saved of this one goes on it, and nobody loads it.
        "sub rsp, 16",
        ".cfi_adjust_cfa_offset 16",
        "mov rdi, rsp",
        "mov rsi, rax",
        "call {switch}",
        "ud2",
        ".cfi_endproc",
        switch = sym switch,
    )
}

/// Writes the first frame of a stack that ends at `top`; the first `switch` to the result calls `entry(arg)` on it.
///
/// `entry` starts with the floating-point control words of a new process, whatever the OS thread uses. It must not let
/// a panic out: there is nobody above it to catch one. What it returns is entered (A5).
///
/// # Safety
///
/// The 80 bytes below `top` are writable and nothing else uses them until the stack is entered. If `entry` returns, then what A5 wants.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, arg: *mut ()) -> *mut u8 {
    let spare = top.addr() % 16;
    // SAFETY: at most 15 + 64 bytes below `top`, which the caller gives us.
    let frame = unsafe { top.sub(spare + FRAME) };
    let words = [
        ptr_of(MXCSR | X87_CONTROL << 32),
        ptr_of(0),                                             // r15
        ptr_of(0),                                             // r14
        arg,                                                   // r13
        entry as *mut (),                                      // r12
        ptr_of(0),                                             // rbx
        ptr_of(0),                                             // rbp
        (base as *mut ()).cast::<u8>().wrapping_add(1).cast(), // return address, by X4
    ];
    // SAFETY: `frame` is a multiple of 16, and its FRAME bytes are the caller's gift.
    unsafe { frame.cast::<[*mut (); FRAME / 8]>().write(words) };
    frame
}

/// A plain number in a word that elsewhere holds a pointer.
fn ptr_of(word: u64) -> *mut () {
    core::ptr::without_provenance_mut(word as usize)
}

/// Gives the running stack the control words of a fresh one. A look at them, as a rule.
#[inline]
pub(crate) fn reset_control_words() {
    /// In MXCSR, what has happened, which is nobody's.
    const FLAGS: u32 = 0x3F;
    let (mut mxcsr, mut x87) = (0_u32, 0_u16);
    // SAFETY: writes two locals.
    unsafe {
        let (mxcsr, x87) = (&raw mut mxcsr, &raw mut x87);
        asm!("stmxcsr [{}]", "fnstcw [{}]", in(reg) mxcsr, in(reg) x87, options(nostack, preserves_flags));
    }
    if u64::from(mxcsr & !FLAGS) != MXCSR || u64::from(x87) != X87_CONTROL {
        let (mxcsr, x87) = (MXCSR as u32, X87_CONTROL as u16);
        // SAFETY: reads two locals. These are the words that all Rust code wants to find.
        unsafe {
            let (mxcsr, x87) = (&raw const mxcsr, &raw const x87);
            asm!("ldmxcsr [{}]", "fldcw [{}]", in(reg) mxcsr, in(reg) x87, options(nostack, preserves_flags));
        }
    }
}

/// Asks for the line of the cache around `address`.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    // SAFETY: a hint: an address that cannot be read is passed over.
    unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast()) }
}

/// The stack pointer at the instruction that a signal interrupted.
///
/// # Safety
///
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(crate) unsafe fn interrupted_stack_pointer(context: *const c_void) -> usize {
    // SAFETY: the kernel hands every such handler a `ucontext_t` of the interrupted thread.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RSP as usize] as usize }
}
