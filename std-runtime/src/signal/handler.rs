//! Our handler of a signal, and the one that was there before, which it calls first.
//!
//! Not by the registry of `signal-hook`, which most libraries share: there the handler is in place for a moment before it knows
//! whom to call, and a signal that comes in that moment is lost. Libraries that use it get on with ours, whoever comes first: each
//! calls the one that it has found.
//!
//! * H1  What runs in a handler may interrupt anything: it loads and stores numbers, calls the system, and gives errno back.
//! * H2  What was there before is noted before ours takes its place, so the first signal finds it.
//! * H3  Ours stays for ever: somebody may have found it, and will call it.

use super::{Signal, delivery::on_signal};
use libc::{c_int, c_void, siginfo_t};
use std::{
    io, mem, ptr,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering::*},
};

/// What was there before, by the number of the signal.
///
/// | operation       | order   | pairs with      | so that                                                                   |
/// |-----------------|---------|-----------------|---------------------------------------------------------------------------|
/// | `handler` store | Release | `handler` load  | who calls a handler knows whether it takes one argument or three           |
/// | `handler` load  | Acquire | `handler` store | the same                                                                  |
/// | `flags`         | Relaxed | nothing         | `handler` orders them                                                     |
///
/// Argued: the model checker knows nothing of handlers.
struct Before {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static BEFORE: [Before; 65] =
    [const { Before { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } }; 65];

impl Before {
    fn of(signal: Signal) -> &'static Self {
        &BEFORE[signal.as_raw() as usize]
    }

    fn note(&self, action: &libc::sigaction) {
        // In this order: who takes three arguments is never given one. (Who takes one does not see the others.)
        self.flags.store(action.sa_flags, Relaxed);
        self.handler.store(action.sa_sigaction, Release);
    }
}

/// Whether the signal had its default effect before.
pub(super) fn had_default(signal: Signal) -> bool {
    Before::of(signal).handler.load(Acquire) == libc::SIG_DFL
}

/// For a signal that was checked. Once for each, not by two threads at a time.
///
/// # Errors
///
/// The system's: there is no such signal, or the C library keeps it to itself.
pub(super) fn install(signal: Signal) -> io::Result<()> {
    let before = Before::of(signal);
    before.note(&exchange(signal, None)?); // H2
    // SAFETY: plain data, and zeros are an empty mask.
    let mut ours = unsafe { mem::zeroed::<libc::sigaction>() };
    ours.sa_sigaction = handle as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // Somebody may have come between.
    before.note(&exchange(signal, Some(&ours))?);
    Ok(())
}

/// Asks what there is, and puts `new` in its place.
fn exchange(signal: Signal, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    // SAFETY: plain data.
    let mut before = unsafe { mem::zeroed::<libc::sigaction>() };
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `new` is null or valid; our handler keeps to what one may do (H1), and is there for ever (H3).
    match unsafe { libc::sigaction(signal.as_raw(), new, &mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn handle(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the calling thread's own, always there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let interrupted = unsafe { *errno };
    let signal = Signal::from_raw(number);
    let Before { handler, flags } = Before::of(signal);
    let handler = handler.load(Acquire);
    if handler != libc::SIG_DFL && handler != libc::SIG_IGN {
        if flags.load(Relaxed) & libc::SA_SIGINFO == 0 {
            // SAFETY: H2: from the system, for this signal; whoever installed it said, by its flags, that it is such a function.
            let handler = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(number);
        } else {
            // SAFETY: as above, and it gets what the system has given us.
            let handler =
                unsafe { mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(handler) };
            handler(number, info, context);
        }
    }
    on_signal(signal);
    // SAFETY: as above.
    unsafe { *errno = interrupted }; // H1
}
