//! What the handler says, and what it leaves to others, each in a process of its own.

use super::*;
use crate::stack::tests::{ENDED_WELL, in_child, in_children, test_name};
use crate::stack::{Class, acquire, sanitizer};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

fn describe(stack: Stack, out: &mut dyn FnMut(&[u8])) {
    out(b"told by the callback: ");
    out(if around(stack.base().addr()) == Some(stack) { b"a slot" } else { b"no slot" });
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Recursion without an end, which no optimizer may turn into a loop.
#[expect(unconditional_recursion)]
#[inline(never)]
pub(crate) fn dig(depth: u64) -> u64 {
    let mut local = [depth; 64];
    black_box(&mut local);
    dig(depth + 1) + black_box(local)[7]
}

/// Runs `body` on a slot of the pool, on this thread, and never comes back.
fn on_a_slot(body: fn()) -> ! {
    unsafe extern "C" fn entry(arg: *mut ()) -> *mut u8 {
        // SAFETY: the fresh stack that was announced below.
        unsafe { sanitizer::finish_switch(ptr::null_mut()) };
        // SAFETY: what `prepare` got.
        unsafe { mem::transmute::<*mut (), fn()>(arg)() };
        process::exit(3);
    }
    // In a process of its own, where no task has run (T7).
    let _neighbor = acquire(Class::DEFAULT).unwrap();
    let stack = acquire(Class::DEFAULT).unwrap().first_stack();
    let mut here = ptr::null_mut();
    // SAFETY: the stack of a slot of ours; `here` is never loaded.
    unsafe {
        let there = arch::prepare(stack.top(), entry, body as *mut ());
        sanitizer::start_switch(ptr::null_mut(), stack.guard_end(), stack.top().addr() - stack.guard_end().addr());
        arch::switch(&mut here, there);
    }
    unreachable!("nobody switches back");
}

/// O1, O2: an overflow on a slot prints the message, with what the callback tells and what to do, and aborts.
#[test]
fn overflow_of_a_slot_is_reported() {
    let output = in_child(test_name!("overflow_of_a_slot_is_reported"), || {
        install(describe);
        // A thread as workers are: nothing but the guard's signal stack to run the handler on.
        let worker = std::thread::spawn(|| {
            let _signals = alternate_stack().unwrap();
            on_a_slot(|| {
                black_box(dig(0));
            })
        });
        let _ = worker.join();
    });
    let text = text(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{:?}\n{text}", output.status);
    assert_eq!(text.matches("greenlight: a green thread overflowed its stack of 256 KiB\n").count(), 1, "{text}");
    assert!(text.contains("  told by the callback: a slot\n"), "{text}");
    assert!(text.contains("help: "), "{text}");
}

/// The same for green threads, with frames of any size: of a recursion, and one that is larger than a whole stack. The
/// first page that is touched beyond the stack is the guard's, whichever way the guard was made.
///
/// Not for frames larger than the guard on riscv64, which Rust's compiler does not look after there: they may reach
/// past it.
#[test]
fn overflow_by_large_frames_is_reported() {
    #[inline(never)]
    fn frames_of<const N: usize>(depth: u64) -> u64 {
        let mut frame = mem::MaybeUninit::<[u64; N]>::uninit();
        black_box(&mut frame);
        match black_box(true) {
            true => frames_of::<N>(depth + 1) + black_box(&frame).as_ptr().addr() as u64,
            false => depth,
        }
    }
    let frames = [
        ("marked, 6 KiB", (|| frames_of::<768>(0)) as fn() -> u64),
        ("marked, 48 KiB", || frames_of::<6144>(0)),
        ("marked, 1 MiB", || frames_of::<131_072>(0)),
        ("protected, 6 KiB", || frames_of::<768>(0)),
        ("protected, 48 KiB", || frames_of::<6144>(0)),
        ("protected, 1 MiB", || frames_of::<131_072>(0)),
    ];
    let outputs =
        in_children(test_name!("overflow_by_large_frames_is_reported"), frames.map(|frame| frame.0), |case| {
            if case.starts_with("protected") {
                crate::stack::PROTECT_ONLY.store(true, Relaxed);
            }
            let (_, body) = frames.into_iter().find(|frame| frame.0 == case).unwrap();
            let _ = crate::go(move || black_box(body())).join();
        });
    for ((case, _), output) in frames.iter().zip(outputs) {
        if cfg!(target_arch = "riscv64") && case.ends_with("1 MiB") {
            continue;
        }
        let text = text(&output);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{case}: {:?}\n{text}", output.status);
        assert!(text.contains("greenlight: a green thread overflowed its stack of 256 KiB\n"), "{case}: {text}");
        assert!(text.contains("green thread 1, spawned at "), "{case}: {text}");
        assert!(text.contains("overflow/tests.rs:"), "{case}: {text}");
    }
}

/// O3: a fault elsewhere, on a slot or off it, ends the process by SIGSEGV and without a word of ours.
#[test]
fn null_pointer_still_ends_by_sigsegv() {
    fn read_null() {
        // SAFETY: none. The kernel stops it, which is what the test is about.
        unsafe { asm_read(black_box(0)) };
    }
    let output = in_child(test_name!("null_pointer_still_ends_by_sigsegv"), || {
        install(describe);
        let _signals = alternate_stack().unwrap();
        on_a_slot(read_null);
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{:?}", output.status);
    assert!(!text(&output).contains("greenlight"), "{}", text(&output));
}

/// Reads the byte at `address` in a way that no compiler objects to.
///
/// # Safety
///
/// The address is readable, or the kernel is to say that it is not.
unsafe fn asm_read(address: usize) {
    use core::arch::asm;
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(target_arch = "aarch64")]
        asm!("ldrb {0:w}, [{0}]", inout(reg) address => _, options(nostack, readonly));
        #[cfg(target_arch = "riscv64")]
        asm!("lbu {0}, 0({0})", inout(reg) address => _, options(nostack, readonly));
        #[cfg(target_arch = "x86_64")]
        asm!("mov {0:l}, byte ptr [{0}]", inout(reg) address => _, options(nostack, readonly));
    }
}

/// A stray pointer of an OS thread into the guard of a slot is a fault, not an overflow.
#[test]
fn stray_pointer_into_a_guard_is_no_overflow() {
    let output = in_child(test_name!("stray_pointer_into_a_guard_is_no_overflow"), || {
        install(describe);
        let stack = acquire(Class::DEFAULT).unwrap().first_stack();
        // SAFETY: as above.
        unsafe { asm_read(stack.base().addr()) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{:?}", output.status);
    assert!(!text(&output).contains("greenlight"), "{}", text(&output));
}

/// O3: std still reports the overflow of an OS thread, whether or not the thread holds our signal stack.
#[test]
fn overflow_of_an_os_thread_is_left_to_std() {
    let output = in_child(test_name!("overflow_of_an_os_thread_is_left_to_std"), || {
        install(describe);
        install(describe);
        let thread = std::thread::Builder::new().name("the deep one".into()).spawn(|| {
            let _signals = alternate_stack().unwrap();
            black_box(dig(0));
        });
        let _ = thread.unwrap().join();
    });
    let text = text(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{:?}\n{text}", output.status);
    assert!(text.contains("thread 'the deep one'") && text.contains("has overflowed its stack"), "{text}");
    assert!(!text.contains("greenlight:"), "{text}");
}

/// O3: a handler that was there before gets the signal, its number, its address and the signals it wants blocked.
#[test]
fn earlier_handler_is_called_as_before() {
    extern "C" fn earlier(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
        // SAFETY: a kernel's SIGSEGV has an address; the mask is read into a local.
        let (address, blocked) = unsafe {
            let mut mask = mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
            ((*info).si_addr().addr(), libc::sigismember(&mask, libc::SIGUSR1))
        };
        // SAFETY: ends the process.
        unsafe { libc::_exit(if (signal, address, blocked) == (libc::SIGSEGV, 0x10, 1) { 42 } else { 1 }) };
    }
    let output = in_child(test_name!("earlier_handler_is_called_as_before"), || {
        // SAFETY: plain data, a handler of the kind its flags say; then a fault on purpose.
        unsafe {
            let mut action = mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = earlier as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1);
            libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut());
            install(describe);
            asm_read(0x10);
        }
    });
    assert_eq!(output.status.code(), Some(42), "{:?}\n{}", output.status, text(&output));
}

/// O3, without an earlier handler: a SIGSEGV that somebody sends is ignored or deadly as it was; a fault is deadly.
#[test]
fn default_and_ignored_stay_so() {
    let cases = ["ignored, sent", "ignored, fault", "default, sent", "default, fault"];
    let [ignored, deadly @ ..] = in_children(test_name!("default_and_ignored_stay_so"), cases, |case| {
        let action = if case.starts_with("ignored") { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: no handler involved; then a signal, or a fault, on purpose.
        unsafe {
            libc::signal(libc::SIGSEGV, action);
            install(describe);
            match case.ends_with("fault") {
                true => asm_read(0),
                false => assert_eq!(libc::raise(libc::SIGSEGV), 0),
            }
        }
    });
    assert_eq!(ignored.status.code(), Some(ENDED_WELL), "{}", text(&ignored));
    for (case, output) in cases[1..].iter().zip(deadly) {
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{case}: {:?}", output.status);
    }
}

/// O2: the guard brings a signal stack of 64 KiB, keeps one that is large enough, and puts the old one back.
#[test]
fn signal_stack_comes_and_goes() {
    fn current() -> (usize, usize) {
        // SAFETY: plain data; asks only.
        unsafe {
            let mut stack = mem::zeroed::<libc::stack_t>();
            libc::sigaltstack(ptr::null(), &mut stack);
            (stack.ss_sp.addr(), stack.ss_size)
        }
    }
    std::thread::spawn(|| {
        let before = current();
        let outer = alternate_stack().unwrap();
        let with_outer = current();
        assert!(with_outer.1 >= 64 * 1024);
        let inner = alternate_stack().unwrap();
        assert_eq!(current(), with_outer, "large enough, and replaced");
        drop(inner);
        assert_eq!(current(), with_outer);
        drop(outer);
        assert_eq!(current(), before);
    })
    .join()
    .unwrap();
}
