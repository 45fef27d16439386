//! A bell that a signal's handler may ring, and that wakes a waker on the thread of some worker.
//!
//! ```text
//!   handler ──▶ ring ──▶ eventfd ──▶ a worker's poller ──▶ source ──▶ the waker, on the thread that serves the poller
//! ```
//!
//! No thread and no task waits for it: the waker lies in the source, as a polled socket's does. So a deadlock's report does not show
//! it, and while it lies there, no deadlock is claimed (`source::anybody_waits`): somebody outside may ring.
//!
//! It follows the protocol of every socket (`source.rs`): [`look`](Doorbell::look) first, then see what there is to do, then
//! [`leave`](Doorbell::leave), which fails if it has rung meanwhile. Edge-triggered: each ring is an event, and nobody has to read.

use super::{
    Pollable,
    source::{Seen, Side},
};
use rustix::event::{EventfdFlags, eventfd};
use std::{io, os::fd::OwnedFd, task::Waker};

pub(crate) struct Doorbell {
    io: Pollable<OwnedFd>,
    waker: Waker,
}

impl Doorbell {
    /// # Errors
    ///
    /// The system's: no descriptor is left.
    pub(crate) fn new(waker: Waker) -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { io: Pollable::already_nonblocking(descriptor), waker })
    }

    /// A system call, and nothing else: it may be called in a signal's handler, which looks after errno.
    pub(crate) fn ring(&self) {
        // Full only after 2^64 rings, and then it has rung.
        let _ = rustix::io::write(self.io.get_ref(), &1_u64.to_ne_bytes());
    }

    /// Before one looks what there is to do.
    pub(crate) fn look(&self) -> Seen {
        self.io.side(Side::Read).begin().expect("never closed, and without a deadline")
    }

    /// Has the waker woken at the next ring. False if it has rung since `seen`.
    ///
    /// # Errors
    ///
    /// The system's: no descriptor is left for a poller. It hears of no ring then.
    pub(crate) fn leave(&self, seen: Seen) -> io::Result<bool> {
        self.io.register()?;
        Ok(self.io.side(Side::Read).leave(seen, &self.waker))
    }

    /// Nobody is to be woken any more.
    pub(crate) fn forget(&self) {
        self.io.side(Side::Read).forget();
    }
}
