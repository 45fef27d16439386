//! The core's primitives inside other people's runtimes: one set of workloads, run on each host alone and on all of them
//! at once.
//!
//! ```text
//!   workloads.rs   what is done and checked: one function for each primitive, the same for all;
//!        │         locks and the like in workloads/sync.rs
//!        │ tasks and blocking calls
//!   team.rs        starts them, collects what they did, notices a hang and a panic
//!        │
//!   hosts.rs       who runs them: tokio, smol, embassy, one thread for each future …
//! ```
//!
//! A primitive is added by a function in `workloads.rs`, or the file below it, and its name in [`every_workload!`]; a runtime,
//! by a [`Host`].

pub mod hosts;
mod ledger;
mod team;
pub mod workloads;

pub use hosts::{All, Call, Host, Task};
pub use team::{HANG, Tally, Team};

/// A test for each workload, on the host that the expression makes.
#[macro_export]
macro_rules! every_workload {
    ($($name:ident: $host:expr),+ $(,)?) => {
        $($crate::every_workload! { @on $name, $host;
            pipes static_pipes pipes_of_streams races selects cancelled_futures moved_futures
            oneshots watches broadcasts locks wait_groups
            async_mutexes async_rw_locks async_wait_groups semaphores notifies condvars barriers once_cells
            crowds selects_of_waits
        })+
    };
    (@on $name:ident, $host:expr; $($workload:ident)+) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(#[test]
            fn $workload() {
                greenlight_runtime_tests::workloads::$workload(&$host);
            })+
        }
    };
}
