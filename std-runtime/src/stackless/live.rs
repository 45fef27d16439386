//! The futures of a runtime that have not ended: for reports, and the shutdown.
//!
//! Lists that are linked through the futures themselves. A worker's tasks enter its own, so that workers seldom meet at a lock; a
//! future leaves the list that it has entered, wherever it ends.
//!
//! * V1  A future is in its list from its spawn until it has ended, or its last share is gone: before its memory is freed. Its links
//!   are touched under the lock of that list alone.

use super::{Share, Stackless};
#[cfg(any(feature = "log", feature = "tracing"))]
use crate::header::TaskId;
use std::{
    cell::Cell,
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Few machines have more CPUs, and a list for two workers does no harm.
const MOST_LISTS: usize = 256;

pub(crate) struct LiveFutures(Box<[List]>);

/// A line of the cache for each.
#[repr(align(64))]
struct List(Mutex<Members>);

struct Members {
    first: Option<NonNull<Stackless>>,
    count: usize,
}

/// A future's place: V1.
#[derive(Default)]
pub(super) struct Place {
    before: Cell<Option<NonNull<Stackless>>>,
    after: Cell<Option<NonNull<Stackless>>>,
}

// SAFETY: the futures in a list are alive (V1), and shared by their own rules.
unsafe impl Send for Members {}

impl List {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveFutures {
    /// Lists for so many workers, and one for other threads.
    pub(crate) fn new(workers: usize) -> Self {
        let list = |_| List(Mutex::new(Members { first: None, count: 0 }));
        Self((0..(workers + 1).min(MOST_LISTS)).map(list).collect())
    }

    /// The number of the list for what the worker of this index spawns, or another thread.
    pub(super) fn list_of(&self, worker: Option<usize>) -> u8 {
        worker.map_or(0, |index| (index + 1) % self.0.len()) as u8
    }

    /// Enters a future that was never in a list into that of its number.
    pub(super) fn enter(&self, future: &Share) {
        let mut list = self.0[usize::from(future.list)].lock();
        let this = future.as_raw();
        if let Some(first) = list.first.replace(this) {
            // SAFETY: V1.
            unsafe { first.as_ref() }.place.before.set(Some(this));
            future.place.after.set(Some(first));
        }
        list.count += 1;
    }

    /// To be called once.
    ///
    /// # Safety
    ///
    /// It has entered, and is still there.
    pub(super) unsafe fn leave(&self, future: &Stackless) {
        let mut list = self.0[usize::from(future.list)].lock();
        let (before, after) = (future.place.before.get(), future.place.after.get());
        // SAFETY: V1.
        unsafe {
            match before {
                None => list.first = after,
                Some(before) => before.as_ref().place.after.set(after),
            }
            if let Some(after) = after {
                after.as_ref().place.before.set(before);
            }
        }
        list.count -= 1;
    }

    /// All of them, but those that are just being freed. The shares must be dropped where a future may be dropped.
    pub(crate) fn all(&self) -> Vec<Share> {
        let mut all = Vec::new();
        for list in &self.0 {
            let list = list.lock();
            all.reserve(list.count);
            // SAFETY: V1, for as long as the lock is held.
            all.extend(list.iter().filter_map(|future| unsafe { Share::of_live(future) }));
        }
        all
    }

    /// The future of that number, if it has not ended.
    #[cfg(any(feature = "log", feature = "tracing"))]
    pub(crate) fn find(&self, id: TaskId) -> Option<Share> {
        self.0.iter().find_map(|list| {
            let list = list.lock();
            // SAFETY: V1, for as long as the lock is held.
            list.iter()
                .find(|future| unsafe { future.as_ref() }.id == id)
                .and_then(|future| unsafe { Share::of_live(future) })
        })
    }

    /// How many have not ended.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|list| list.lock().count).sum()
    }
}

impl Members {
    fn iter(&self) -> impl Iterator<Item = NonNull<Stackless>> {
        // SAFETY: V1; the lock is held.
        std::iter::successors(self.first, |future| unsafe { future.as_ref() }.place.after.get())
    }
}
