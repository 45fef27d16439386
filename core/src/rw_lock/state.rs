//! The state word: who holds the lock, and what those who come have to know about the line.

use super::{Access, Manners};
use crate::sync::{
    atomic::{AtomicUsize, Ordering::*},
    const_unless_loom, model_fence,
};

const WRITER: usize = 1;
/// Somebody is in line.
const QUEUED: usize = 2;
/// Somebody in line has lost patience: nobody goes past the line. Never without `QUEUED`.
const STARVED: usize = 4;
/// Readers may stand in the table instead (`biased.rs`). Never with `WRITER` or `QUEUED`.
const BIASED: usize = 8;
/// One reader. The rest of the word counts them.
const READER: usize = 16;

const LINE: usize = QUEUED | STARVED;

/// As many readers as may come in. There is room for twice as many, so for a table full of those who are moved in.
pub(super) const MAX_READERS: usize = FULL / READER;
/// Set as soon as there are so many.
const FULL: usize = 1 << (usize::BITS - 1);

/// What the word was.
#[derive(Clone, Copy)]
pub(super) struct Seen(usize);

impl Seen {
    pub(super) fn is_read(self) -> bool {
        readers(self.0) > 0
    }

    pub(super) fn is_biased(self) -> bool {
        cfg!(any(feature = "std", loom)) && self.0 & BIASED != 0
    }
}

/// What became of somebody who asked under the lock of the line.
#[must_use]
pub(super) enum Turn {
    Entered,
    Queued,
    /// The same, and the caller has taken the bias: it moves the readers once it sits, and has given back the line's lock.
    QueuedAsRevoker,
}

pub(super) struct State {
    /// | operation                 | order   | pairs with | so that                                              |
    /// |---------------------------|---------|------------|------------------------------------------------------|
    /// | enter                     | Acquire | leave, downgrade | a reader sees what was written, a writer also that it was read |
    /// | leave, downgrade          | Release | enter      | the same                                             |
    /// | set or clear `LINE`, look | Relaxed | nothing    | R3: the lock of the line orders them                 |
    /// | set `BIASED`              | Release | take it    | a revoker knows the lock's number                    |
    /// | take `BIASED`             | SeqCst  | look again | B3, with the slots; and as enter, of which it is one |
    /// | look again                | SeqCst  | take `BIASED`; leave | B3, with the slots; and as enter           |
    /// | move in                   | Relaxed | nothing    | who was moved leaves after it: the Release of the slot's clearing |
    ///
    /// All changes are read-modify-writes, never stores: so a writer who enters pairs with each reader that left, through those
    /// who changed the word since. Who is let in holds the lock by an `enter` of whoever let it in, and learns it through
    /// its turn (`finish`, `outcome`).
    word: AtomicUsize,
}

fn readers(word: usize) -> usize {
    word / READER
}

/// Whether somebody with these manners may join those who hold the lock (R1, R4).
fn admits(word: usize, access: Access, manners: Manners) -> bool {
    let fits = match access {
        Access::Read => word & WRITER == 0 && readers(word) < MAX_READERS,
        Access::Write => word & !LINE == 0,
    };
    fits && match manners {
        Manners::InLine => word & QUEUED == 0,
        // A free lock, or a line that is empty.
        Manners::Barging => word & QUEUED == 0 || word == QUEUED,
        Manners::Nested => true,
    }
}

/// What one more holder of this kind adds to the word.
fn holder(access: Access) -> usize {
    match access {
        Access::Read => READER,
        Access::Write => WRITER,
    }
}

impl State {
    const_unless_loom! {
        pub(super) fn with_readers(readers: usize) -> Self {
            Self { word: AtomicUsize::new(readers * READER) }
        }
    }

    /// Enters, if nobody is in line, or in the way, or quicker. May fail for no reason.
    #[inline]
    pub(super) fn enter_at_once(&self, access: Access) -> bool {
        let word = match access {
            Access::Read => self.word.load(Relaxed),
            Access::Write => 0,
        };
        admits(word, access, Manners::InLine)
            && self.word.compare_exchange_weak(word, word + holder(access), Acquire, Relaxed).is_ok()
    }

    /// Whether readers may stand in the table, as one asks who does (B3).
    #[inline]
    pub(super) fn is_still_biased(&self) -> bool {
        model_fence();
        self.word.load(SeqCst) & BIASED != 0
    }

    /// Unless somebody writes or waits (B1), or there is no room for those who would be moved in.
    pub(super) fn set_bias(&self) {
        let set = |word| (word & (WRITER | LINE | BIASED | FULL) == 0).then_some(word | BIASED);
        let _ = self.word.fetch_update(Release, Relaxed, set);
    }

    /// The bias becomes a reader, the caller, who moves the readers. False if there is none.
    pub(super) fn take_bias(&self) -> bool {
        let take = |word| (word & BIASED != 0).then(|| word - BIASED + READER);
        self.word.fetch_update(SeqCst, Relaxed, take).is_ok()
    }

    /// One more reader, who has come in by the table.
    pub(super) fn move_in(&self) {
        self.word.fetch_add(READER, Relaxed);
    }

    /// `enter_at_once`, by a reader who had better stand in the table if there is a bias; and what it saw, because to look again
    /// could cost another journey of the line.
    #[inline]
    pub(super) fn read_at_once(&self) -> Result<Seen, Seen> {
        let word = self.word.load(Relaxed);
        if word & (WRITER | QUEUED | BIASED | FULL) != 0 {
            return Err(Seen(word));
        }
        // Not the weak one: a failure counts as a meeting (B4).
        self.word.compare_exchange(word, word + READER, Acquire, Relaxed).map(Seen).map_err(Seen)
    }

    /// False if somebody is in the way.
    pub(super) fn enter(&self, access: Access, manners: Manners) -> bool {
        self.enter_after(Seen(self.word.load(Relaxed)), access, manners)
    }

    /// The same, by somebody who has looked.
    pub(super) fn enter_after(&self, Seen(mut word): Seen, access: Access, manners: Manners) -> bool {
        while admits(word, access, manners) {
            match self.word.compare_exchange_weak(word, word + holder(access), Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Enters; or says that the caller is in line: then whoever is in the way will see that when it leaves. The caller holds
    /// the lock of the line, and sits down in it before it gives that back.
    pub(super) fn enter_or_queue(&self, access: Access, manners: Manners, starved: bool) -> Turn {
        let signs = if starved { LINE } else { QUEUED };
        let mut word = self.word.load(Relaxed);
        loop {
            let (next, order, turn) = if admits(word, access, manners) {
                (word + holder(access), Acquire, Turn::Entered)
            } else if word & BIASED != 0 {
                ((word - BIASED + READER) | signs, SeqCst, Turn::QueuedAsRevoker)
            } else if word & signs == signs {
                return Turn::Queued;
            } else {
                (word | signs, Relaxed, Turn::Queued)
            };
            match self.word.compare_exchange_weak(word, next, order, Relaxed) {
                Ok(_) => return turn,
                Err(now) => word = now,
            }
        }
    }

    /// One holder of this kind less. True if somebody in line may be able to go in now.
    #[inline]
    #[must_use]
    pub(super) fn leave(&self, access: Access) -> bool {
        let before = self.word.fetch_sub(holder(access), Release);
        match access {
            Access::Read => before & QUEUED != 0 && matches!(readers(before), 1 | MAX_READERS),
            Access::Write => before != WRITER,
        }
    }

    /// The writer becomes a reader. True if somebody in line may be able to go in now.
    #[must_use]
    pub(super) fn downgrade(&self) -> bool {
        self.word.fetch_add(READER - WRITER, Release) & QUEUED != 0
    }

    /// Whether somebody from the line would come in.
    pub(super) fn admits(&self, access: Access) -> bool {
        admits(self.word.load(Relaxed), access, Manners::Nested)
    }

    /// Takes back what is no longer true of the line. The caller holds its lock.
    pub(super) fn tell(&self, queued: bool, starved: bool) {
        let mut gone = 0;
        if !queued {
            gone |= QUEUED;
        }
        if !starved {
            gone |= STARVED;
        }
        if self.word.load(Relaxed) & gone != 0 {
            self.word.fetch_and(!gone, Relaxed);
        }
    }

    /// No reader fits in, and that is not because of a writer: guards were forgotten, in numbers.
    pub(super) fn overflows(&self, access: Access) -> bool {
        access == Access::Read && readers(self.word.load(Relaxed)) >= MAX_READERS
    }

    pub(super) fn is_queued(&self) -> bool {
        self.word.load(Relaxed) & QUEUED != 0
    }

    /// Whether the word counts a reader.
    pub(super) fn is_read(&self) -> bool {
        Seen(self.word.load(Relaxed)).is_read()
    }

    #[cfg(any(all(test, feature = "std"), feature = "lock_api"))]
    pub(super) fn is_written(&self) -> bool {
        self.word.load(Relaxed) & WRITER != 0
    }
}
