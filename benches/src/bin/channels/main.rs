//! Channels beside their peers: the same workloads through eight columns, in turn, in one run.
//!
//! ```text
//! cargo run --release -p greenlight-benches --bin channels [-- [--quick] [--cpu] [--wide] [--rounds N] [filter]]
//!
//!   --quick    short runs and three rounds: for a first look
//!   --cpu      CPU time instead of time: on a machine that is busy with other things
//!   --wide     values of 64 bytes instead of 8
//!   --rounds   how often each cell is measured, 5 if not said
//!   filter     only the rows whose name contains it
//! ```
//!
//! A cell shows the median of its rounds, and the shortest behind it, in ns for each message. Empty: the peer has no
//! such thing. The last column is our best column's median divided by the best peer's: below 1, ours is quicker. In
//! parentheses the same for our channels on OS threads, which is where the peers run. The strict channels stand beside:
//! they promise more than any peer.
//!
//! Rows in which OS threads sleep have two modes, far apart: where the kernel puts both sides on one CPU, a wake-up is
//! a switch (about 1 µs); where it puts them on two, the sleeper's CPU must be roused (tens of µs). The kernel chooses
//! anew in each round, so a median can stand in either mode: compare such cells by several runs, or by `taskset -c 0`,
//! which leaves one mode only.

mod peers;
mod workloads;

use greenlight_benches::{Options, foot, table};

fn main() {
    let options = Options::read("channels", &["--wide"]);
    let (bytes, columns) = match options.has("--wide") {
        true => (64, workloads::columns::<[u64; 8]>()),
        false => (8, workloads::columns::<u64>()),
    };
    table(&options, &format!("message of {bytes} bytes"), workloads::WORKLOADS, &columns);
    foot();
}
