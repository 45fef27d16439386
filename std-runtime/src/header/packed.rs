//! A waker in one word instead of two: nearly all that join are tasks of ours, whose wakers differ in the address only.

use super::state;
use crate::stackless;
use std::{
    mem::ManuallyDrop,
    ptr,
    task::{RawWaker, RawWakerVTable, Waker},
};

/// The data of a waker of ours, with a mark that says of which kind; or a foreign one in a box. It owns what the waker did.
pub(crate) struct PackedWaker(*mut ());

const GREEN: usize = 1;
const FUTURE: usize = 2;
const MARKS: usize = GREEN | FUTURE;

// What the marks are added to leaves room for them: a task's header, a future's, and this.
const _: () = assert!(align_of::<super::Task>() > MARKS);
const _: () = assert!(align_of::<stackless::Stackless>() > MARKS);
const _: () = assert!(align_of::<Waker>() > MARKS);

fn vtable(mark: usize) -> &'static RawWakerVTable {
    if mark == GREEN { &state::WAKER } else { &stackless::WAKER }
}

impl PackedWaker {
    pub(super) fn new(waker: Waker) -> Self {
        for mark in [GREEN, FUTURE] {
            if ptr::eq(waker.vtable(), vtable(mark)) {
                let waker = ManuallyDrop::new(waker);
                return Self(waker.data().cast_mut().map_addr(|address| address | mark));
            }
        }
        Self(Box::into_raw(Box::new(waker)).cast())
    }

    pub(super) fn into_waker(self) -> Waker {
        let mark = self.0.addr() & MARKS;
        if mark == 0 {
            // SAFETY: the box of `new`; no mark, so it is one.
            return *unsafe { Box::from_raw(self.0.cast::<Waker>()) };
        }
        let data = self.0.map_addr(|address| address & !MARKS).cast_const();
        // SAFETY: data and vtable of the waker that `new` did not drop.
        unsafe { Waker::from_raw(RawWaker::new(data, vtable(mark))) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Foreign;

    impl std::task::Wake for Foreign {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_foreign_waker_comes_back_with_its_share() {
        let foreign = Arc::new(Foreign);
        let waker = Waker::from(foreign.clone());
        let packed = PackedWaker::new(waker.clone());
        assert_eq!(Arc::strong_count(&foreign), 3);
        assert!(packed.into_waker().will_wake(&waker));
        assert_eq!(Arc::strong_count(&foreign), 2);
    }

    #[test]
    fn a_waker_of_ours_comes_back() {
        let mut in_place = [0_u64; 2];
        for mark in [GREEN, FUTURE] {
            let data = (&raw mut in_place).cast::<()>().cast_const();
            // SAFETY: neither woken, nor cloned or dropped.
            let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, vtable(mark))) });
            // SAFETY: as above.
            let packed = PackedWaker::new(unsafe { ptr::read(&*waker) });
            assert_eq!(packed.0.addr() & MARKS, mark);
            assert!(ManuallyDrop::new(packed.into_waker()).will_wake(&waker));
        }
    }
}
