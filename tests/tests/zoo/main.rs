//! What makes `go` a safe function: whatever belongs to an OS thread may be held across whatever waits.
//!
//! ```text
//!            held.rs: taken before                waits.rs: each call of the crate's that waits
//!   ┌ a thread-local's address, of three kinds ┐
//!   │ a borrow of its RefCell, a share of its Rc│        another task of the worker ─┐
//!   │ a slot of `ThreadLocal`, `rand::rng()`    ├─ wait ─ a task of any worker       ├─ ends the wait
//!   │ a guard of std's mutex, a span entered    │        an OS thread               ─┘
//!   └ the place of errno                        ┘
//!                    └──── looked at again after: the same places, the same values, the same thread
//! ```
//!
//! All of it is inlined into one function for each wait, so that the optimizer sees what stands before and after a switch
//! as what it is: one function of one thread. Where a task wakes up on another thread, that is what goes wrong, and first
//! in optimized builds: `.ci/zoo` runs this with link-time optimization over all crates. (With every fifth wake-up sent to
//! another worker, by hand, it does not survive a second.)

mod held;
mod issues;
mod waits;

use greenlight::Runtime;
use waits::WAITS;

/// How often each task goes through all the waits.
const TURNS: usize = if cfg!(debug_assertions) { 2 } else { 10 };
const TASKS: usize = 24;

#[test]
fn all_that_belongs_to_a_thread_is_held_across_every_wait() {
    held::watch_spans();
    let mut rounds = 0;
    for workers in [1, 2, 4, 8] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                runtime.go(move || {
                    for turn in 0..TURNS * WAITS.len() {
                        // Each begins elsewhere, and goes through them at a pace of its own.
                        let (name, round) = WAITS[(task * 7 + turn * (task % 3 * 2 + 1)) % WAITS.len()];
                        let draws = std::panic::catch_unwind(round).unwrap_or_else(|_| panic!("across {name}"));
                        held::keep(draws);
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        rounds += TASKS * TURNS * WAITS.len();
    }
    println!("{} waits, {rounds} rounds", WAITS.len());
    held::add_up(rounds);
}

/// A step of 1, 3 or 5 leads through all of them.
#[test]
fn every_wait_has_its_turn() {
    assert!([3, 5].iter().all(|step| !WAITS.len().is_multiple_of(*step)), "{} waits", WAITS.len());
}
