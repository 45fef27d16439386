//! The report of a stack overflow: who, how large, what to do; then the end of the process.
//!
//! ```text
//!   SIGSEGV ──▶ in the guard of a stack, with the stack pointer near it? ── no ──▶ the handler before us
//!                                     │ yes
//!                                     ▼
//!               message to standard error, abort
//! ```
//!
//! * O1  The handler allocates nothing and takes no lock: it loads numbers, calls `write`, and aborts.
//! * O2  It runs on a signal stack, for the stack that overflowed has no room. Every worker owns an `AlternateStack`.
//! * O3  A fault that is not ours goes to the handler that was there before, as if we were not: same arguments, same
//!   signals blocked, and what the kernel would have done where there was none. std's report for OS threads goes on
//!   working, and a null pointer still ends the process with SIGSEGV. The one difference: it runs on the signal stack.

use super::{Stack, StackError, around};
use crate::arch;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::{
    fmt::{self, Write as _},
    mem, process, ptr,
};

/// Tells in a few words about the task on a stack, by calling the function with pieces of text.
///
/// Runs in a signal handler: it neither allocates nor locks, and does not trust what it reads to be complete.
pub(crate) type Describe = fn(Stack, &mut dyn FnMut(&[u8]));

/// The smallest signal stack that the report and the handlers behind it are content with.
const SIGNAL_STACK: usize = 64 * 1024;

static INSTALLED: OnceLock<Installed> = OnceLock::new();

struct Installed {
    describe: Describe,
    previous: libc::sigaction,
}

/// Reports overflows from now on, with the help of `describe`. Every call but the first does nothing.
pub(crate) fn install(describe: Describe) {
    INSTALLED.get_or_init(|| {
        // SAFETY: plain data; asks only.
        let previous = unsafe {
            let mut previous = mem::zeroed::<libc::sigaction>();
            libc::sigaction(libc::SIGSEGV, ptr::null(), &mut previous);
            previous
        };
        Installed { describe, previous }
    });
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, AcqRel) {
        return;
    }
    // After INSTALLED, so that a fault at this very moment finds where to go.
    // SAFETY: plain data.
    let mut action = unsafe { mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: a handler of the kind that the flags say. By O3 it disturbs nobody.
    let result = unsafe { libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()) };
    assert_eq!(result, 0, "SIGSEGV can be handled");
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: what the kernel gives a handler of this kind.
    let (code, stack_pointer) = unsafe { ((*info).si_code, arch::interrupted_stack_pointer(context)) };
    // Above zero the kernel says so; else it is a signal somebody sent, and has no address.
    if code > 0 {
        // SAFETY: a SIGSEGV of the kernel's has an address.
        let address = unsafe { (*info).si_addr() }.addr();
        if let Some(stack) = overflowed(address, stack_pointer) {
            report(stack);
        }
    }
    // SAFETY: our own arguments.
    unsafe { pass_on(signal, code, info, context) }
}

/// The stack whose guard `address` lies in, if the stack pointer says that it was reached from that stack.
///
/// A stray pointer of an OS thread can hit a guard too, and no stack has overflowed then. The frame of a C function
/// may reach below the guard, so the stack pointer may be in the stack below.
fn overflowed(address: usize, stack_pointer: usize) -> Option<Stack> {
    let stack = around(address)?;
    let near = stack.base().addr() - stack.size()..stack.top().addr();
    (address < stack.guard_end().addr() && near.contains(&stack_pointer)).then_some(stack)
}

#[cold]
fn report(stack: Stack) -> ! {
    // Another thread may overflow at the same moment. One report is enough; that thread waits for the end.
    static REPORTING: AtomicBool = AtomicBool::new(false);
    while REPORTING.swap(true, Relaxed) {
        // SAFETY: waits for a signal, touches nothing.
        unsafe { libc::pause() };
    }
    let _ = writeln!(StandardError, "\ngreenlight: a green thread overflowed its stack of {} KiB", stack.size() / 1024);
    write_error(b"  ");
    if let Some(installed) = INSTALLED.get() {
        (installed.describe)(stack, &mut write_error);
    }
    write_error(
        b"\n  help: look for recursion without an end, keep large arrays on the heap (Box, Vec),\n  \
          or give it a larger stack (greenlight::task::Builder::stack_size)\n",
    );
    process::abort()
}

/// For numbers: formatting one allocates nothing.
struct StandardError;

impl fmt::Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_error(text.as_bytes());
        Ok(())
    }
}

/// Writes all of `text` to standard error, or as much as it takes (O1).
fn write_error(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: reads `text` only.
        let written = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        match usize::try_from(written) {
            Ok(count @ 1..) => text = &text[count..],
            Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            _ => return,
        }
    }
}

/// Does what would have happened without us (O3).
///
/// # Safety
///
/// The arguments are those of a running handler of `signal`, and `code` is that of `info`.
unsafe fn pass_on(signal: c_int, code: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(Installed { previous, .. }) = INSTALLED.get() else { return };
    let has = |flag| previous.sa_flags & flag != 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if code <= 0 => {}
        // Ignoring a fault of the program's own is not for the program to choose: the kernel ends it.
        libc::SIG_DFL | libc::SIG_IGN => {
            restore_default(signal);
            if code <= 0 {
                // Nothing would send it again. Blocked until we return, then it ends the process.
                // SAFETY: no memory is involved.
                unsafe { libc::raise(signal) };
            }
            // A fault repeats itself once we return.
        }
        handler => {
            if has(libc::SA_RESETHAND) {
                restore_default(signal);
            }
            // SAFETY: sets of signals on the stack; the kernel puts the old mask back when we return. The handler is
            // one, by the kernel's own records, and takes what its flags say.
            unsafe {
                libc::sigprocmask(libc::SIG_BLOCK, &previous.sa_mask, ptr::null_mut());
                if has(libc::SA_NODEFER) {
                    let mut this = mem::zeroed();
                    libc::sigemptyset(&mut this);
                    libc::sigaddset(&mut this, signal);
                    libc::sigprocmask(libc::SIG_UNBLOCK, &this, ptr::null_mut());
                }
                if has(libc::SA_SIGINFO) {
                    type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
                    mem::transmute::<usize, Handler>(handler)(signal, info, context);
                } else {
                    mem::transmute::<usize, unsafe extern "C" fn(c_int)>(handler)(signal);
                }
            }
        }
    }
}

fn restore_default(signal: c_int) {
    // SAFETY: plain data, for which zero is the default action with an empty mask.
    unsafe { libc::sigaction(signal, &mem::zeroed(), ptr::null_mut()) };
}

/// This thread's signal stack, until it is dropped (O2).
pub(crate) struct AlternateStack {
    /// What we mapped, and the signal stack that was there before; nothing if that one was large enough.
    ours: Option<(*mut c_void, usize, libc::stack_t)>,
    /// Dropped on the thread that it belongs to.
    _not_send: PhantomData<*mut ()>,
}

/// Gives the calling thread a signal stack of 64 KiB or more, unless it has one. Keep the result as long as green
/// threads run on this thread.
///
/// # Errors
///
/// If there is no memory for it.
pub(crate) fn alternate_stack() -> Result<AlternateStack, StackError> {
    let errno = || std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // SAFETY: only asks.
    let (needed, page) = unsafe { (libc::getauxval(libc::AT_MINSIGSTKSZ), libc::sysconf(libc::_SC_PAGESIZE)) };
    let (page, size) = (page as usize, SIGNAL_STACK.max(libc::SIGSTKSZ).max(needed as usize * 2));
    let size = size.next_multiple_of(page);
    // SAFETY: plain data; asks only.
    let before = unsafe {
        let mut before = mem::zeroed::<libc::stack_t>();
        libc::sigaltstack(ptr::null(), &mut before);
        before
    };
    if before.ss_flags & libc::SS_DISABLE == 0 && before.ss_size >= size {
        return Ok(AlternateStack { ours: None, _not_send: PhantomData });
    }
    // A page more, left without access: the handler behind us may be a deep one.
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: at an address of the kernel's choice, so nothing that exists changes.
    let start = unsafe { libc::mmap(ptr::null_mut(), page + size, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(StackError::Signals(errno()));
    }
    // From here on `drop` undoes it.
    let stack = AlternateStack { ours: Some((start, page + size, before)), _not_send: PhantomData };
    let after = libc::stack_t { ss_sp: start.wrapping_byte_add(page), ss_flags: 0, ss_size: size };
    // SAFETY: memory of our own, which stays mapped until `drop` has taken the signal stack away again.
    if unsafe { libc::mprotect(start, page, libc::PROT_NONE) != 0 || libc::sigaltstack(&after, ptr::null_mut()) != 0 } {
        return Err(StackError::Signals(errno()));
    }
    Ok(stack)
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let Some((start, size, before)) = self.ours else { return };
        // SAFETY: what the kernel told us before. Not `Send`, so this is the thread we changed. If it refuses, we run on
        // the very stack that we would unmap: keep it.
        unsafe {
            if libc::sigaltstack(&before, ptr::null_mut()) == 0 {
                libc::munmap(start, size);
            }
        }
    }
}

#[cfg(all(test, not(any(greenlight_asan, greenlight_tsan)), not(loom)))] // the sanitizers handle SIGSEGV in our place
pub(crate) mod tests;
