//! Which task it is.

use std::{
    cell::Cell,
    fmt,
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering::*},
};

/// How many numbers an OS thread takes for itself at a time, in the long run: at first one, and twice as many each time, so that those of a
/// small program are small.
const BLOCK: u64 = 64;

/// Relaxed: a number, and nothing that goes with it.
static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

/// The thread's numbers that nobody has yet.
#[derive(Clone, Copy)]
struct Block {
    next: u64,
    end: u64,
    /// Of the next block.
    size: u64,
}

thread_local! {
    static BLOCK_HERE: Cell<Block> = const { Cell::new(Block { next: 0, end: 0, size: 1 }) };
}

/// The number of a green thread, or of a future that runs as a task: no other of this process has it, ever.
///
/// # Examples
///
/// ```
/// let task = greenlight::go(greenlight::task::current_id);
/// let id = task.id();
/// assert_eq!(task.join().unwrap(), Some(id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(super) NonZero<u64>);

impl TaskId {
    /// Never inlined: see [`crate::worker::current`].
    #[inline(never)]
    pub(crate) fn next() -> Self {
        BLOCK_HERE.with(|here| {
            let mut block = here.get();
            if block.next == block.end {
                block.next = NEXT_BLOCK.fetch_add(block.size, Relaxed);
                block.end = block.next + block.size;
                block.size = (block.size * 2).min(BLOCK);
            }
            here.set(Block { next: block.next + 1, ..block });
            Self(NonZero::new(block.next).expect("2^63 tasks are more than a process has time for"))
        })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
