//! What `go` says of its cost: no allocation for a closure and a result of 256 bytes together at most, and one for larger ones. Counted is what the
//! whole process allocates, so this is a process of its own, with an allocator that counts.

use greenlight::{Runtime, go};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations that starting and joining 1,000 green threads takes, with a closure of `N` bytes and the same as its result.
fn allocations<const N: usize>() -> usize {
    let once = || {
        let bytes = black_box([7_u8; N]);
        let back = go(move || black_box(bytes)).join().unwrap();
        assert_eq!(back[N - 1], 7);
    };
    (0..100).for_each(|_| once());
    let before = ALLOCATIONS.load(Relaxed);
    (0..1000).for_each(|_| once());
    ALLOCATIONS.load(Relaxed) - before
}

#[test]
fn small_closures_and_results_are_not_allocated() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        // The monitor reads a file now and then, as often as the clock says, and not once a spawn.
        for few in [allocations::<1>(), allocations::<64>(), allocations::<128>()] {
            assert!(few < 100, "{few} allocations for 1,000 small closures");
        }
        let one = allocations::<1024>();
        assert!((1000..1100).contains(&one), "{one} allocations for 1,000 large closures");
    });
}
