//! The conservation law: no channel loses, doubles or leaks a value, whatever is cancelled. The law and its clauses are
//! in `greenlight_tests::conservation`; here is what is measured by it.
//!
//! `CONSERVATION_SEEDS=1000000 cargo test --release --test conservation` searches longer, `…=1000000..2000000`
//! elsewhere. With `-- --nocapture` it shows what it finds in the peers and in the toys, with the shortest schedule for
//! each clause.

mod greenlight_channel;
mod peers;
mod toy;
