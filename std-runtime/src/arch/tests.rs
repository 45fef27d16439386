//! What a switch promises (A1 to A5), tried on stacks of plain heap memory.

use super::{prepare, switch};
use crate::stack::tests::{in_child_ok, test_name};
use core::ptr;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Mutex;

// What is one processor's own stands in a file beside this one: registers, control words, how to step.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(not(target_arch = "x86_64"))]
mod breakpoints;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

mod processor {
    #[cfg(target_arch = "aarch64")]
    pub(crate) use super::aarch64::*;
    #[cfg(target_arch = "riscv64")]
    pub(crate) use super::riscv64::*;
    #[cfg(target_arch = "x86_64")]
    pub(crate) use super::x86_64::*;
}
pub(crate) use processor::*;

/// A second stack that runs one closure, and the words that lead there and back.
///
/// * C1  `inside` is parked while the test runs, `outside` while the closure runs.
/// * C2  The closure is dropped before the last switch out, so the memory may be freed after it.
struct Context<'a> {
    body: Option<Body<'a>>,
    inside: Cell<*mut u8>,
    outside: Cell<*mut u8>,
    done: Cell<bool>,
    memory: Vec<u8>,
}

type Body<'a> = Box<dyn FnOnce(&Context<'a>) + 'a>;

const MEMORY: usize = 1 << 20;

impl<'a> Context<'a> {
    fn new(body: impl FnOnce(&Context<'a>) + 'a) -> Box<Self> {
        Self::with_slack(0, body)
    }

    /// A context whose `top` lies `slack` bytes lower than it could.
    fn with_slack(slack: usize, body: impl FnOnce(&Context<'a>) + 'a) -> Box<Self> {
        let mut context = Box::new(Self {
            body: Some(Box::new(body)),
            inside: Cell::new(ptr::null_mut()),
            outside: Cell::new(ptr::null_mut()),
            done: Cell::new(false),
            memory: vec![0xAB; MEMORY], // Not zeroes: they would end any walk, right or wrong.
        });
        // SAFETY: inside the allocation, far from both of its ends.
        let top = unsafe { context.memory.as_mut_ptr().add(MEMORY - 64 - slack) };
        let arg = (&raw mut *context).cast();
        // SAFETY: the memory is the context's own, and the context does not move out of its box.
        context.inside.set(unsafe { prepare(top, entry, arg) });
        context
    }

    /// Runs the closure until it yields or ends.
    fn resume(&self) {
        assert!(!self.done.get(), "resumed after its end");
        // SAFETY: parked by C1.
        unsafe { switch(self.outside.as_ptr(), self.inside.get()) }
    }

    /// Called by the closure: goes back to the test.
    fn yield_now(&self) {
        // SAFETY: parked by C1.
        unsafe { switch(self.inside.as_ptr(), self.outside.get()) }
    }
}

/// A5: the last switch out of it is a return.
unsafe extern "C" fn entry(arg: *mut ()) -> *mut u8 {
    let context = arg.cast::<Context<'_>>();
    // SAFETY: `arg` is the context that `resume` borrows; nobody else looks at `body`.
    let body = unsafe { (*context).body.take() }.expect("entered twice");
    // SAFETY: alive as above; only cells are shared from here on.
    let context = unsafe { &*context };
    body(context);
    context.done.set(true);
    context.outside.get()
}

/// A2. Both sides fill all registers that a callee preserves; neither sees the other's values.
#[test]
fn callee_saved_registers_survive() {
    let expect = |seed: u64| core::array::from_fn::<u64, REGISTERS, _>(|n| seed + n as u64);
    let context = Context::new(|context| {
        for round in 0..3 {
            let seed = 0xAAAA_0000 + round * 64;
            let mut seen = [0; REGISTERS];
            // SAFETY: as in `yield_now`.
            unsafe { switch_with_registers(&mut seen, seed, context.inside.as_ptr(), context.outside.get()) };
            assert_eq!(seen, expect(seed));
        }
    });
    for round in 0..3 {
        let seed = 0x5555_0000 + round * 64;
        let mut seen = [0; REGISTERS];
        // SAFETY: as in `resume`.
        unsafe { switch_with_registers(&mut seen, seed, context.outside.as_ptr(), context.inside.get()) };
        assert_eq!(seen, expect(seed));
    }
    context.resume();
    assert!(context.done.get());
}

/// A2 and the start values: rounding modes set on one side stay there, and a fresh context has the defaults.
#[test]
fn control_words_belong_to_the_context() {
    let [fresh, later] = [const { Cell::new(None) }; 2];
    let context = Context::new(|context| {
        fresh.set(Some(control()));
        set_control(UP);
        context.yield_now();
        later.set(Some(control()));
        set_control(DEFAULT);
    });
    let before = control();
    set_control(DOWN);
    context.resume();
    let kept = control();
    context.resume();
    let kept_again = control();
    set_control(before);
    assert_eq!(fresh.get(), Some(DEFAULT), "a fresh context inherited control words");
    assert_eq!(kept, DOWN);
    assert_eq!(later.get(), Some(UP));
    assert_eq!(kept_again, DOWN);
}

/// The words of a fresh context, after others, and after the flags of what has happened.
#[test]
fn control_words_can_be_reset() {
    let before = control();
    for word in [UP, DOWN, DEFAULT] {
        set_control(word);
        std::hint::black_box(std::hint::black_box(1.0_f64) / 3.0);
        super::reset_control_words();
        let after = control();
        set_control(before);
        assert_eq!(after, DEFAULT);
    }
}

/// X2. The stack is aligned as the convention wants it at a function's first instruction, wherever `top` lies.
#[test]
fn entry_is_called_with_an_aligned_stack() {
    for slack in 0..32 {
        let mut memory = vec![0_u8; 4096];
        let mut words = [ptr::null_mut::<u8>(); 3];
        let words = (&raw mut words).cast::<*mut u8>();
        // SAFETY: inside the allocation; the frame is this test's own.
        let inside = unsafe { prepare(memory.as_mut_ptr().add(4096 - slack), report_stack_pointer, words.cast()) };
        // SAFETY: fresh, so parked; three words as the other side expects.
        unsafe { switch(words.add(1), inside) };
        // SAFETY: written by the other side.
        let found = unsafe { *words }.addr();
        assert_eq!(found % 16, ALIGNMENT_AT_ENTRY, "sp = {found:#x} at entry, top lowered by {slack}");
    }
}

/// A4. A panic inside stops at the `catch_unwind` in the context's first frame, with its payload.
#[test]
fn panic_is_caught_at_the_base() {
    let caught = Cell::new(None);
    let context = Context::new(|_| {
        let result = catch_unwind(|| panic_any(7_u8));
        caught.set(result.err().and_then(|payload| payload.downcast::<u8>().ok()));
    });
    context.resume();
    assert_eq!(caught.take().as_deref(), Some(&7));
}

/// A4. Unwinding through nested frames, with a switch between entering and leaving them, runs each drop once, inner
/// first.
#[test]
fn panic_runs_the_drops_of_every_frame() {
    struct Log<'a>(&'a Cell<u64>, u64);
    impl Drop for Log<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() * 10 + self.1);
        }
    }
    #[inline(never)]
    fn nest(log: &Cell<u64>, depth: u64, context: &Context<'_>) {
        let _on_drop = Log(log, depth);
        if depth == 5 {
            context.yield_now();
            panic_any(());
        }
        nest(log, depth + 1, context);
    }
    let log = Cell::new(0);
    let context = Context::new(|context| {
        let result = catch_unwind(AssertUnwindSafe(|| nest(&log, 1, context)));
        assert!(result.is_err());
    });
    context.resume();
    assert_eq!(log.get(), 0);
    context.resume();
    assert_eq!(log.get(), 54321);
}

/// A4. A backtrace taken inside names the functions of this stack and stops at its base.
#[test]
#[cfg_attr(greenlight_tsan, ignore = "line tables alone know no paths of functions")]
fn backtrace_ends_at_the_base() {
    #[inline(never)]
    fn a_name_to_look_for(into: &Cell<String>) {
        into.set(Backtrace::force_capture().to_string());
    }
    let text = Cell::new(String::new());
    let context = Context::new(|_| a_name_to_look_for(&text));
    context.resume();
    let text = text.take();
    if cfg!(debug_assertions) {
        assert!(text.contains("a_name_to_look_for"), "{text}");
        assert!(text.contains("arch::tests::entry"), "{text}");
    }
    assert!(!text.contains("libtest") && !text.contains("test::run_test"), "walked out of its stack:\n{text}");
    assert!(text.lines().count() < 60, "no end:\n{text}");
}

/// A1, A2. A million round trips; either side counts and loses nothing.
#[test]
fn ping_pong_a_million_times() {
    const ROUNDS: u64 = 1_000_000;
    let inner = Cell::new(0_u64);
    let context = Context::new(|context| {
        for _ in 0..ROUNDS {
            inner.set(inner.get() + 1);
            context.yield_now();
        }
    });
    for outer in 1..=ROUNDS {
        context.resume();
        assert_eq!(inner.get(), outer);
    }
    context.resume();
    assert!(context.done.get());
}

/// The return addresses from here outwards, and whether the unwinder found an end rather than a dead end.
fn walk() -> (Vec<usize>, bool) {
    unsafe extern "C" {
        fn _Unwind_Backtrace(each: extern "C" fn(*mut (), *mut ()) -> i32, list: *mut ()) -> i32;
        fn _Unwind_GetIP(frame: *mut ()) -> usize;
    }
    extern "C" fn each(frame: *mut (), list: *mut ()) -> i32 {
        // SAFETY: the unwinder's own frame, and the list of the `walk` that is under way.
        unsafe { (*list.cast::<Vec<usize>>()).push(_Unwind_GetIP(frame)) };
        0
    }
    const END_OF_STACK: i32 = 5;
    let mut list = Vec::with_capacity(256);
    // SAFETY: the platform's unwinder, called as its ABI says.
    let code = unsafe { _Unwind_Backtrace(each, (&raw mut list).cast()) };
    list.retain(|&ip| ip != 0); // libgcc counts "no caller" as a frame, others do not.
    (list, code == END_OF_STACK)
}

/// The start of the function that a call returning to `ip` was made in, 0 if the unwinder knows none.
fn enclosing_function(ip: usize) -> usize {
    unsafe extern "C" {
        fn _Unwind_FindEnclosingFunction(ip: usize) -> usize;
    }
    // SAFETY: looks the address up, whatever it is.
    unsafe { _Unwind_FindEnclosingFunction(ip) }
}

/// What an unwinder saw at each instruction of `switch`: the frames outside of it, and whether they came to an end.
static STEPS: Mutex<Vec<(Vec<usize>, bool)>> = Mutex::new(Vec::new());

extern "C" fn on_step(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what the kernel gives a handler of this kind.
    let at = unsafe { interrupted_instruction(context) };
    let start = switch as *const () as usize;
    if (start..start + switch_bytes()).contains(&at) {
        step_on(at);
        // The interrupted code is `switch`, which owns no lock: a handler free to allocate.
        let (mut frames, ended) = walk();
        let here = frames.iter().position(|&ip| ip == at).expect("the walk passes the interrupted instruction");
        frames.drain(..=here);
        STEPS.lock().unwrap().push((frames, ended));
    }
}

/// A4, at every instruction of `switch`, into a fresh frame, into suspended ones, and out of one that ends (A5): stepping through
/// it, an unwinder that starts there finds the callers of the stack left, then those of the stack entered, and the end of each.
#[test]
#[cfg_attr(greenlight_tsan, ignore = "the sanitizer objects to any handler that allocates")]
fn call_frame_information_is_right_at_every_instruction() {
    #[inline(never)]
    fn callers() -> Vec<usize> {
        walk().0
    }
    in_child_ok(test_name!("call_frame_information_is_right_at_every_instruction"), || {
        // SAFETY: an action without restrictions; nobody else here uses this signal.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = on_step as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()), 0);
        }
        let inner = Cell::new(Vec::new());
        let context = Context::new(|context| {
            inner.set(callers());
            for _ in 0..2 {
                // SAFETY: as in `yield_now`.
                unsafe { switch_stepping(context.inside.as_ptr(), context.outside.get()) };
            }
            // SAFETY: the next switch, that of `base`, is to the stepping one that the test waits in.
            unsafe { step_from_now() };
        });
        for _ in 0..3 {
            // SAFETY: as in `resume`.
            unsafe { switch_stepping(context.outside.as_ptr(), context.inside.get()) };
        }
        assert!(context.done.get());
        let (inner, outer) = (inner.take(), callers());

        // Two frames at the inner end are at another instruction than when `callers` looked: the stepping function, and the
        // one that called both. The rest must be the same to the last address.
        let belongs = |frames: &[usize], stack: &[usize]| frames.len() > 2 && stack.ends_with(&frames[2..]);
        let steps = std::mem::take(&mut *STEPS.lock().unwrap());
        let fresh = steps.iter().find(|(frames, _)| frames.len() == 1).expect("a fresh stack was entered");
        let base = fresh.0[0] - INTO_BASE;
        let mut path: Vec<char> = steps
            .iter()
            .map(|(frames, ended)| {
                assert!(ended, "a dead end: {frames:x?}");
                let at_base = frames.len() == 1 && enclosing_function(frames[0]) == base;
                match (at_base, belongs(frames, &inner), belongs(frames, &outer)) {
                    (true, false, false) if frames[0] == base + INTO_BASE => 'f', // X4
                    (true, false, false) => 'e',                                  // A5
                    (false, true, false) => 'i',
                    (false, false, true) => 'o',
                    other => panic!("{other:?}: {frames:x?}\ninside {inner:x?}\noutside {outer:x?}"),
                }
            })
            .collect();
        assert!(path.len() >= 6 * 20, "stepped {} times", path.len());
        path.dedup();
        // Out to fresh, in to out, out to in, in to out, out to in, end to out; where one switch ends and another begins, the stack is the same.
        assert_eq!(path, ['o', 'f', 'i', 'o', 'i', 'o', 'i', 'e', 'o']);
    });
}
