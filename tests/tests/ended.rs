//! What a runtime keeps when it has ended: its own structure, and no room that its queues, timers and sockets once needed.

use greenlight::{
    Runtime, go, go_async,
    net::{TcpListener, TcpStream},
    sleep,
    time::sleep_async,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicIsize, Ordering::*},
    time::Duration,
};

/// The bytes that are allocated now.
static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: the system's allocator, and a count.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A life with a thousand of each at the same time.
fn live_and_end() {
    let runtime = Runtime::builder().workers(1).spare_workers(0).build().unwrap(); // a busy machine has spare ones
    runtime.run(|| {
        let sleepers: Vec<_> = (0..1_000).map(|_| go(|| sleep(Duration::from_millis(2)))).collect();
        let futures: Vec<_> = (0..1_000).map(|_| go_async(sleep_async(Duration::from_millis(2)))).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop((listener.accept().unwrap(), stream));
        sleepers.into_iter().chain(futures).for_each(|task| task.join().unwrap());
    });
    assert!(runtime.shutdown(Duration::MAX).left().is_empty());
}

#[test]
fn an_ended_runtime_keeps_its_own_structure_only() {
    // What the process allocates once, and what others allocate in steps.
    (0..3).for_each(|_| live_and_end());
    let before = LIVE.load(Relaxed);
    const MORE: isize = 20;
    (0..MORE).for_each(|_| live_and_end());
    let each = (LIVE.load(Relaxed) - before) / MORE;
    assert!(each < 8 * 1024, "{each} bytes each");
    println!("{each} bytes each");
}
