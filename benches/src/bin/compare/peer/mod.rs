//! One program for each peer: `compare peer NAME WORKLOAD [--workers W] [--scale F]`, `… list`, `… all`.
//!
//! ```text
//!   blocking.rs   the workloads as functions that wait ─▶ greenlight.rs · may.rs · threads.rs
//!   stackless.rs  the same as futures                  ─▶ greenlight.rs · tokio.rs · smol.rs
//!   ../../../../go/                                    the same in Go, a program of its own
//! ```
//!
//! Each workload is written once for all who wait in the same way, over a trait of what a peer calls things; generic and
//! inlined, so what runs is what that peer's user would have written. All peers are in one executable, but a process runs one
//! of them.

mod blocking;
mod greenlight;
mod may;
mod program;
mod smol;
mod stackless;
mod threads;
mod tokio;

pub(crate) use program::{Figures, Size, check, run};

/// One run of a workload.
pub(crate) type Run = fn(&Size) -> Figures;

/// Who takes part.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What a task of it is, and which channels it uses.
    pub(crate) about: &'static str,
    /// All of the workloads of its way to wait; those in `absent` may not be run.
    pub(crate) workloads: fn(&str) -> Option<Run>,
    /// The workloads that it cannot do, and why.
    pub(crate) absent: &'static [(&'static str, &'static str)],
    /// The workloads that it does in a lighter form than the others, and which.
    pub(crate) lighter: &'static [(&'static str, &'static str)],
}

impl Peer {
    /// The workload of this name, if the peer has it.
    pub(crate) fn workload(&self, name: &str) -> Option<Run> {
        if self.absent.iter().any(|(absent, _)| *absent == name) { None } else { (self.workloads)(name) }
    }
}

/// The peers that are written in Rust.
pub(crate) const PEERS: &[&Peer] = &[
    &greenlight::GREEN,
    &greenlight::ROAMING,
    &greenlight::ASYNC,
    &threads::GREENLIGHT,
    &tokio::TOKIO,
    &tokio::TOKIO_KANAL,
    &may::MAY,
    &smol::SMOL,
    &threads::CROSSBEAM,
    &threads::FLUME,
    &threads::KANAL,
    &threads::STD,
];

/// The Rust peer of this name.
pub(crate) fn find(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name).copied()
}
