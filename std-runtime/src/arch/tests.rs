//! What a switch promises (A1 to A4), tried on stacks of plain heap memory.

use super::{prepare, switch};
use core::arch::asm;
use core::ptr;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Mutex;

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

unsafe extern "C" fn entry(arg: *mut ()) -> ! {
    let context = arg.cast::<Context<'_>>();
    // SAFETY: `arg` is the context that `resume` borrows; nobody else looks at `body`.
    let body = unsafe { (*context).body.take() }.expect("entered twice");
    // SAFETY: alive as above; only cells are shared from here on.
    let context = unsafe { &*context };
    body(context);
    context.done.set(true);
    context.yield_now();
    unreachable!("resume refuses a context that is done");
}

fn mxcsr() -> u32 {
    let mut word = 0_u32;
    // SAFETY: stores four bytes at a local.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
    word & !0x3F // The low six bits say what happened, not what shall.
}

fn x87_control() -> u16 {
    let mut word = 0_u16;
    // SAFETY: stores two bytes at a local.
    unsafe { asm!("fnstcw [{}]", in(reg) &raw mut word, options(nostack)) };
    word
}

/// Sets both control words. What the compiler makes of it is the test's concern: it does no arithmetic meanwhile.
fn set_control(mxcsr: u32, x87: u16) {
    // SAFETY: loads from locals; the callers restore the defaults before any floating-point arithmetic.
    unsafe { asm!("ldmxcsr [{}]", "fldcw [{}]", in(reg) &raw const mxcsr, in(reg) &raw const x87, options(nostack)) };
}

/// Fills every register a callee preserves with `seed`, `seed + 1`, ..., switches, and returns how they come back.
///
/// Naked, because no compiler lets inline assembly own rbx and rbp: `(out, seed, save, load)`.
#[unsafe(naked)]
unsafe extern "C" fn switch_with_registers(out: *mut [u64; 6], seed: u64, save: *mut *mut u8, load: *mut u8) {
    core::arch::naked_asm!(
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

/// A2. Both sides fill all six registers; neither sees the other's values.
#[test]
fn callee_saved_registers_survive() {
    let expect = |seed: u64| core::array::from_fn::<u64, 6, _>(|n| seed + n as u64);
    let context = Context::new(|context| {
        for round in 0..3 {
            let seed = 0xAAAA_0000 + round * 16;
            let mut seen = [0; 6];
            // SAFETY: as in `yield_now`.
            unsafe { switch_with_registers(&mut seen, seed, context.inside.as_ptr(), context.outside.get()) };
            assert_eq!(seen, expect(seed));
        }
    });
    for round in 0..3 {
        let seed = 0x5555_0000 + round * 16;
        let mut seen = [0; 6];
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
    const DOWN: (u32, u16) = (0x3F80, 0x077F);
    const UP: (u32, u16) = (0x5F80, 0x0B7F);
    let both = || (mxcsr(), x87_control());
    let [fresh, later] = [const { Cell::new((0, 0)) }; 2];
    let context = Context::new(|context| {
        fresh.set(both());
        set_control(UP.0, UP.1);
        context.yield_now();
        later.set(both());
        set_control(0x1F80, 0x037F);
    });
    let before = both();
    set_control(DOWN.0, DOWN.1);
    context.resume();
    let kept = both();
    context.resume();
    let kept_again = both();
    set_control(before.0, before.1);
    assert_eq!(fresh.get(), (0x1F80, 0x037F), "a fresh context inherited control words");
    assert_eq!(kept, DOWN);
    assert_eq!(later.get(), UP);
    assert_eq!(kept_again, DOWN);
}

/// X2. `movaps` faults on a misaligned stack; and the address says so in words, wherever `top` lies.
#[test]
fn entry_is_called_with_an_aligned_stack() {
    #[unsafe(naked)]
    unsafe extern "C" fn report_stack_pointer(arg: *mut ()) -> ! {
        // arg = [&mut found, outside, &mut inside]: the stack pointer as the callee finds it.
        core::arch::naked_asm!(
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
        assert_eq!(found % 16, 8, "rsp = {found:#x} at entry, top lowered by {slack}");
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

/// Switches with the processor's trap flag set: SIGTRAP after every instruction, until this returns on either stack.
///
/// The flag is the thread's, not the stack's: set on the way out of one stack, it is cleared on the way into another.
#[unsafe(naked)]
unsafe extern "C" fn switch_stepping(save: *mut *mut u8, load: *mut u8) {
    core::arch::naked_asm!(
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

/// What an unwinder saw at each instruction of `switch`: the frames outside of it, and whether they came to an end.
static STEPS: Mutex<Vec<(Vec<usize>, bool)>> = Mutex::new(Vec::new());

/// The length of `switch`; its last byte is the `ret`.
const SWITCH_BYTES: usize = 51;

extern "C" fn on_step(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what the kernel gives a handler of this kind.
    let at = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] } as usize;
    let start = switch as *const () as usize;
    if (start..start + SWITCH_BYTES).contains(&at) {
        // The interrupted code is `switch`, which owns no lock: a handler free to allocate.
        let (mut frames, ended) = walk();
        let here = frames.iter().position(|&ip| ip == at).expect("the walk passes the interrupted instruction");
        frames.drain(..=here);
        STEPS.lock().unwrap().push((frames, ended));
    }
}

/// A4, at every instruction of `switch`, into a fresh frame and into suspended ones: stepping through it, an unwinder
/// that starts there finds the callers of the stack left, then those of the stack entered, and the end of each.
#[test]
fn call_frame_information_is_right_at_every_instruction() {
    #[inline(never)]
    fn callers() -> Vec<usize> {
        walk().0
    }
    // SAFETY: reads the last byte of a function.
    assert_eq!(unsafe { *(switch as *const u8).add(SWITCH_BYTES - 1) }, 0xC3, "`switch` has another length now");
    // SAFETY: an action without restrictions; no other test uses this signal.
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
    });
    for _ in 0..2 {
        // SAFETY: as in `resume`.
        unsafe { switch_stepping(context.outside.as_ptr(), context.inside.get()) };
    }
    context.resume();
    let (inner, outer) = (inner.take(), callers());

    // Two frames at the inner end are at another instruction than when `callers` looked: the stepping function, and the
    // one that called both. The rest must be the same to the last address.
    let belongs = |frames: &[usize], stack: &[usize]| frames.len() > 2 && stack.ends_with(&frames[2..]);
    let steps = std::mem::take(&mut *STEPS.lock().unwrap());
    let mut path: Vec<char> = steps
        .iter()
        .map(|(frames, ended)| {
            assert!(ended, "a dead end: {frames:x?}");
            let starts_at_base = frames.len() == 1 && enclosing_function(frames[0]) == frames[0] - 1;
            match (starts_at_base, belongs(frames, &inner), belongs(frames, &outer)) {
                (true, false, false) => 'f', // X4
                (false, true, false) => 'i',
                (false, false, true) => 'o',
                other => panic!("{other:?}: {frames:x?}\ninside {inner:x?}\noutside {outer:x?}"),
            }
        })
        .collect();
    assert!(path.len() >= 4 * 20, "stepped {} times", path.len());
    path.dedup();
    // Out to fresh, in to out, out to in, in to out; where one switch ends and another begins, the stack is the same.
    assert_eq!(path, ['o', 'f', 'i', 'o', 'i', 'o']);
}
