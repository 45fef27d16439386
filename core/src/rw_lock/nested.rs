//! Debug builds with an operating system: which tasks read a lock, to name a nested read that would never end.
//!
//! Not in other builds, where it would make each read dearer. A lock remembers the first few tasks that read it; those beyond
//! are not found out. A guard that moves to another task counts for the one that took it.

pub(super) use imp::*;

#[cfg(all(debug_assertions, feature = "std", not(loom)))]
mod imp {
    use crate::{park::this_task, spin::SpinMutex};

    const TRACKED: usize = 8;

    /// The tasks that read now; 0 is nobody.
    pub(in crate::rw_lock) struct Readers(SpinMutex<[usize; TRACKED]>);

    /// One of them, in its guard; 0 if it was not written down.
    #[derive(Clone, Copy)]
    pub(in crate::rw_lock) struct Reader(usize);

    impl Readers {
        pub(in crate::rw_lock) const fn new() -> Self {
            Self(SpinMutex::new([0; TRACKED]))
        }

        /// The calling task reads from now on.
        pub(in crate::rw_lock) fn note(&self) -> Reader {
            let me = this_task();
            let mut readers = self.0.lock();
            let Some(free) = readers.iter_mut().find(|reader| **reader == 0) else { return Reader::UNKNOWN };
            *free = me;
            Reader(me)
        }

        pub(in crate::rw_lock) fn forget(&self, reader: Reader) {
            if reader.0 != 0 {
                let mut readers = self.0.lock();
                if let Some(noted) = readers.iter_mut().find(|noted| **noted == reader.0) {
                    *noted = 0;
                }
            }
        }

        /// Whether the calling task is one of them.
        pub(in crate::rw_lock) fn has_caller(&self) -> bool {
            let me = this_task();
            me != 0 && self.0.lock().contains(&me)
        }
    }

    impl Reader {
        pub(in crate::rw_lock) const UNKNOWN: Self = Self(0);
    }
}

#[cfg(not(all(debug_assertions, feature = "std", not(loom))))]
mod imp {
    pub(in crate::rw_lock) struct Readers;

    #[derive(Clone, Copy)]
    pub(in crate::rw_lock) struct Reader;

    impl Readers {
        pub(in crate::rw_lock) const fn new() -> Self {
            Self
        }

        #[inline]
        pub(in crate::rw_lock) fn note(&self) -> Reader {
            Reader
        }

        #[inline]
        pub(in crate::rw_lock) fn forget(&self, _: Reader) {}

        #[inline]
        pub(in crate::rw_lock) fn has_caller(&self) -> bool {
            false
        }
    }

    impl Reader {
        pub(in crate::rw_lock) const UNKNOWN: Self = Self;
    }
}
