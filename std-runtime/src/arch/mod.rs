//! The seam between the scheduler and the processor: how one stack is left and another one entered.
//!
//! ```text
//!            prepare(top, entry, arg)
//!   memory ───────────────────────────▶ FRESH
//!                                         │ switch(.., sp)
//!                                         ▼
//!                                      RUNNING ◀───────┐
//!                                         │            │ switch(.., sp)
//!                                         │ switch(&mut sp, ..)
//!                                         ├────────▶ SUSPENDED
//!                                         │ entry returns another sp
//!                                         └────────▶ memory
//! ```
//!
//! A stack that does not run is one word, its stack pointer; everything else lies on the stack itself. A processor file
//! offers five functions and nothing more:
//!
//! * `unsafe fn prepare(top: *mut u8, entry: Entry, arg: *mut ()) -> *mut u8`
//! * `unsafe extern "C" fn switch(save: *mut *mut u8, load: *mut u8)`
//! * `unsafe fn interrupted_stack_pointer(context: *const c_void) -> usize`
//! * `fn reset_control_words()`, for a stack on which something begins anew that may have been left with other ones than a fresh stack
//! * `fn prefetch(address: *const u8)`, which asks for a line of the cache; any address will do, and nothing waits for it
//!
//! and keeps these promises, cited by number wherever a stack is entered:
//!
//! * A1  A stack pointer is *parked* when `prepare` returned it or `switch` stored it, and no `switch` has loaded it
//!   since. Only a parked stack pointer may be loaded, and loading it takes the parking away. (What the end of a stack stores, A5, is none.)
//! * A2  `switch` returns to its caller when its stack is loaded again, with every register and every control word the
//!   C calling convention preserves as it was. Nothing else survives, as after any call of a C function.
//! * A3  Nothing below a parked stack pointer is read or written by its resumption before it is overwritten.
//! * A4  Call-frame information is right at every instruction, parked or not, and ends the chain at the base of a stack
//!   made by `prepare`: a backtrace, a debugger and an unwinding panic all stop there and never read above `top`.
//! * A5  What `entry` returns must be a parked stack pointer. It is loaded, as by a `switch`, and the stack that `entry` ran on is nobody's then.
//!   So a processor that foresees where calls return to finds as many returns as calls, and foresees those of the other stack, but for
//!   the first. Not for a stack that a sanitizer knows of (N1 in `stack/sanitizer.rs`): that one is left by a `switch`.
//!
//! The stack is changed in a call, never in inline assembly within Rust code: a compiler that may see through the
//! switch may also keep the address of a thread-local across it. `switch` being an opaque call, this remains a duty of
//! the *caller*: what it reads of the current OS thread, it reads in a function that is never inlined across a switch.
//!
//! By A4 tools need to know nothing of green threads: gdb's `backtrace` ends at `base`, and so does each sample of
//! `perf record --call-graph dwarf` that was taken in a green thread (1178 of 1178, in the tour). `--call-graph fp` needs a
//! program built with `-C force-frame-pointers`; the chain ends with the zero of a fresh frame.
//!
//! Shadow stacks (Intel CET, Arm GCS, RISC-V Zicfiss) are not supported: `switch` returns to an address that the
//! processor did not see called last on this thread. Programs for Linux run without them unless they ask the C library
//! for them.

/// What runs on a fresh stack. It returns which stack is entered next, or never.
pub(crate) type Entry = unsafe extern "C" fn(*mut ()) -> *mut u8;

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
mod aarch64;
#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
pub(crate) use aarch64::{interrupted_stack_pointer, prefetch, prepare, reset_control_words, switch};

#[cfg(all(target_arch = "riscv64", target_feature = "d", target_os = "linux"))]
mod riscv64;
#[cfg(all(target_arch = "riscv64", target_feature = "d", target_os = "linux"))]
pub(crate) use riscv64::{interrupted_stack_pointer, prefetch, prepare, reset_control_words, switch};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use x86_64::{interrupted_stack_pointer, prefetch, prepare, reset_control_words, switch};

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "aarch64", all(target_arch = "riscv64", target_feature = "d"), target_arch = "x86_64")
)))]
compile_error!(
    "greenlight runs green threads on Linux for x86_64, aarch64 and riscv64 (with D) only as of now. To add a processor, \
     write src/arch/<processor>.rs with the functions that src/arch/mod.rs lists, and select it there. The channels, \
     locks and wait groups of `greenlight-core` work on every target: depend on that crate alone."
);

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
