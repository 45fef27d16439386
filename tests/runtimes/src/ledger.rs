//! What became of each value: the conservation law, with sends and receives that are given up.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

const RECEIVED: u32 = 1;
const DROPPED: u32 = 1 << 8;
const SENT: u32 = 1 << 16;

/// An entry for each value: how often it was received, dropped, and reported as sent.
pub(crate) struct Ledger(Vec<AtomicU32>);

/// A value that notes its end.
pub(crate) struct Parcel {
    number: usize,
    ledger: Option<Arc<Ledger>>,
}

impl Ledger {
    pub(crate) fn new(values: usize) -> Arc<Self> {
        Arc::new(Self((0..values).map(|_| AtomicU32::new(0)).collect()))
    }

    pub(crate) fn parcel(self: &Arc<Self>, number: usize) -> Parcel {
        Parcel { number, ledger: Some(self.clone()) }
    }

    /// A send of this value has returned `Ok`.
    pub(crate) fn sent(&self, number: usize) {
        self.0[number].fetch_add(SENT, Relaxed);
    }

    /// Panics unless each value was received once, or dropped once with its send, and a send that said `Ok` was not in vain.
    pub(crate) fn check(&self) {
        for (number, entry) in self.0.iter().enumerate() {
            let entry = entry.load(Relaxed);
            let right = matches!(entry, RECEIVED | DROPPED) || entry == SENT + RECEIVED;
            assert!(
                right,
                "value {number}: received, dropped, sent: {}, {}, {}",
                entry & 255,
                entry >> 8 & 255,
                entry >> 16
            );
        }
    }
}

impl Parcel {
    pub(crate) fn open(mut self) {
        let ledger = self.ledger.take().expect("opened once");
        ledger.0[self.number].fetch_add(RECEIVED, Relaxed);
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.0[self.number].fetch_add(DROPPED, Relaxed);
        }
    }
}
