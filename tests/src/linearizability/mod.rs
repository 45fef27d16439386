//! Is what threads saw of a channel what a plain queue could have shown them? A checker of linearizability.
//!
//! ```text
//!   program ──run, many times──▶ history ──search──▶ an order in which a queue does the same
//!   2-4 threads                  who called what,     │
//!   2-5 calls each               when, and got what   └─ none: a bug, shown as a time diagram
//! ```
//!
//! | file        | holds                                                                                |
//! |-------------|--------------------------------------------------------------------------------------|
//! | `history`   | calls, outcomes, the ticks between which each call ran, the diagram                  |
//! | `model`     | the channel as a queue that does one thing at a time: what is right                  |
//! | `checker`   | the search for an order; and the weaker check of `len`, `is_empty`, `is_full`        |
//! | `run`       | a program on OS threads, over and over; sees who waits though he need not            |
//! | `reference` | a channel of a mutex and a condition variable, and the ways in which it can be wrong |
//! | `ring`      | a ring of stamped slots that never waits: what `Hides::BehindSlots` is for           |
//!
//! * L1  A call takes effect at one moment between its two ticks; the outcome is right for the state at that moment.
//! * L2  A rendezvous is one moment of two calls.
//! * L3  A failure too has its moment: `Full` is right only when it is full, `Disconnected` only when it is closed.
//! * L4  Nobody waits for ever for what is there: a program in which all wait is ended by a close, but only if some
//!   order of what happened explains why each of them still waits.
//!
//! The ticks come from one counter, so they order what did not overlap. What a wait costs in time is not looked at.

mod checker;
mod history;
mod model;
mod reference;
mod ring;
mod run;

pub use checker::{Standstill, Unexplained, check, check_counts, standstill};
pub use history::{Call, Half, History, Operation, Outcome, Pending, Value};
pub use model::{Hides, Model};
pub use reference::{Flaw, Reference};
pub use ring::Ring;
pub use run::{Effort, Failure, Program, Subject, examine};

#[cfg(test)]
mod tests;
