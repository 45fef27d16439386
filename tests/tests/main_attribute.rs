//! `#[greenlight::main]` on functions that need not be called `main`: what they return, and where their body runs.
//!
//! An `ExitCode` cannot be compared, but its debug form can. That a wrong use does not compile, and what the compiler
//! then says, is tested beside the parser, in `macros/`.

use greenlight::channel::bounded;
use greenlight::{WaitGroup, go};
use std::cell::Cell;
use std::error::Error;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

#[track_caller]
fn assert_code(code: ExitCode, expected: ExitCode) {
    assert_eq!(format!("{code:?}"), format!("{expected:?}"));
}

static BODIES: AtomicUsize = AtomicUsize::new(0);

#[greenlight::main]
fn without_result() {
    BODIES.fetch_add(1, SeqCst);
}

#[test]
fn no_result_is_success_and_the_body_runs_once_per_call() {
    assert_code(without_result(), ExitCode::SUCCESS);
    assert_code(without_result(), ExitCode::SUCCESS);
    assert_eq!(BODIES.load(SeqCst), 2);
}

#[greenlight::main]
fn with_exit_code() -> ExitCode {
    ExitCode::from(42)
}

#[test]
fn an_exit_code_is_passed_on() {
    assert_code(with_exit_code(), ExitCode::from(42));
}

/// Neither this nor `Box<dyn Error>` may leave its thread.
#[derive(Debug)]
struct Unsendable {
    _why: Rc<str>,
}

#[greenlight::main]
fn with_unsendable_error() -> Result<ExitCode, Unsendable> {
    Err(Unsendable { _why: "this line belongs to a test that passes".into() })
}

#[greenlight::main]
fn with_boxed_error() -> Result<(), Box<dyn Error>> {
    let number: u8 = "300".parse()?;
    unreachable!("{number} is no u8");
}

#[greenlight::main]
fn with_ok() -> Result<ExitCode, Box<dyn Error>> {
    Ok(ExitCode::from(7))
}

#[test]
fn an_error_that_is_not_send_is_failure() {
    assert_code(with_unsendable_error(), ExitCode::FAILURE);
    assert_code(with_boxed_error(), ExitCode::FAILURE);
    assert_code(with_ok(), ExitCode::from(7));
}

#[greenlight::main]
fn with_panic() -> Result<(), Box<dyn Error>> {
    panic!("on purpose")
}

#[greenlight::main(workers = 1)]
fn with_panic_on_its_own_runtime() {
    panic!("on purpose")
}

#[greenlight::main]
fn with_panic_and_no_way_to_return() -> ! {
    panic!("on purpose")
}

#[test]
fn a_panic_is_raised_again_in_the_caller() {
    for function in [with_panic, with_panic_on_its_own_runtime, with_panic_and_no_way_to_return] {
        let panic = catch_unwind(function).expect_err("a panic");
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }
}

#[greenlight::main]
fn with_green_threads() -> ExitCode {
    let (numbers_in, numbers) = bounded(0);
    let group = WaitGroup::new();
    for number in 1..=10 {
        let numbers_in = numbers_in.clone();
        group.go(move || numbers_in.send(number).expect("the receiver waits"));
    }
    let closer = go(move || {
        group.wait();
        numbers_in.close();
    });
    let sum: u8 = numbers.into_iter().sum();
    closer.join().expect("no panic");
    ExitCode::from(sum)
}

#[test]
fn the_body_runs_where_it_can_wait_for_green_threads() {
    assert_code(with_green_threads(), ExitCode::from(55));
}

thread_local! {
    static CALLER: Cell<bool> = const { Cell::new(false) };
}
static SAW_THE_CALLER: AtomicBool = AtomicBool::new(false);

#[greenlight::main(workers = 1)]
fn on_one_worker() {
    SAW_THE_CALLER.store(CALLER.get(), SeqCst);
}

#[greenlight::main(workers = worker_count() * 2,)]
fn on_computed_workers() -> ExitCode {
    ExitCode::from(3)
}

fn worker_count() -> usize {
    1
}

#[test]
fn workers_start_a_runtime_of_its_own() {
    CALLER.set(true);
    assert_code(on_one_worker(), ExitCode::SUCCESS);
    assert!(!SAW_THE_CALLER.load(SeqCst), "the body ran on the thread that called");
    assert_code(on_computed_workers(), ExitCode::from(3));
}

mod inner {
    /// Attributes and visibility stay on the function that callers see.
    #[must_use = "like every exit code"]
    #[greenlight::main]
    pub(crate) fn documented() -> impl std::process::Termination {}

    #[cfg(any())]
    #[greenlight::main]
    fn left_out() {
        does_not_exist();
    }
}

#[test]
fn attributes_and_visibility_stay() {
    assert_code(inner::documented(), ExitCode::SUCCESS);
}

macro_rules! main_named {
    ($visibility:vis $name:ident, $result:ty, $body:block) => {
        #[greenlight::main]
        $visibility fn $name() -> $result $body
    };
}
main_named!(pub(crate) out_of_a_macro, Result<ExitCode, String>, { Ok(ExitCode::from(9)) });
main_named!(private_out_of_a_macro, ExitCode, { ExitCode::from(8) });

#[test]
fn it_can_stand_in_a_macro() {
    assert_code(out_of_a_macro(), ExitCode::from(9));
    assert_code(private_out_of_a_macro(), ExitCode::from(8));
}
