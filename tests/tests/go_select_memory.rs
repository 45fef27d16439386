//! Go's `test/chan/select2.go`: tens of thousands of selects need no more memory than the first ones did.
//!
//! Counted is what the whole process allocates, so this is a process of its own, with an allocator that counts. Ours
//! says more than Go's: `select!` promises to allocate nothing, so the number of allocations must not grow with the
//! selects.

use greenlight::{channel::bounded, go, select};
use greenlight_tests::on_workers;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::*},
};

/// The system's allocator, with two counters. A reallocation is the default one: an allocation and a freeing.
struct Counting {
    allocations: AtomicUsize,
    freed: AtomicUsize,
    bytes: AtomicUsize,
}

#[global_allocator]
static MEMORY: Counting =
    Counting { allocations: AtomicUsize::new(0), freed: AtomicUsize::new(0), bytes: AtomicUsize::new(0) };

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Relaxed);
        self.bytes.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.freed.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

impl Counting {
    /// Allocations so far, and bytes in use.
    fn now(&self) -> (usize, usize) {
        (self.allocations.load(Relaxed), self.bytes.load(Relaxed).wrapping_sub(self.freed.load(Relaxed)))
    }
}

const SELECTS: usize = 20_000;

/// One sends, the other selects between it and a channel on which nothing comes; both of them wait, again and again.
fn selects(capacity: usize) {
    let ((tx, rx), (_silent_tx, silent)) = (bounded(capacity), bounded::<usize>(0));
    let sender = go(move || (0..SELECTS).for_each(|i| tx.send(i).unwrap()));
    for i in 0..SELECTS {
        select! {
            recv(rx) -> got => assert_eq!(got, Ok(i)),
            recv(silent) -> _ => unreachable!(),
        }
    }
    sender.join().unwrap();
}

#[test]
fn selects_need_no_memory() {
    on_workers(|| {
        for capacity in [0, 1] {
            selects(capacity); // makes what is made once
            let before = MEMORY.now();
            selects(capacity);
            let after = MEMORY.now();
            // The monitor asks the system about a worker that stands, by the clock: some of its answers are allocated, the more the
            // slower the machine is.
            assert!(after.0 - before.0 < SELECTS / 20, "{} allocations", after.0 - before.0);
            assert!(after.1 < before.1 + SELECTS, "{} bytes, before {}", after.1, before.1);
        }
    });
}
