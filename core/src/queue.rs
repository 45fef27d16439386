//! The wait queue: an intrusive list of sleeping waiters, first come, first served.
//!
//! ```text
//!   WaitQueue { first ──┐           last ──┐ }      inside the SpinMutex of its channel, lock, group
//!                       ▼                  ▼
//!                    Waiter ◀───────▶ Waiter        each on the stack of who sleeps
//!                       │                │
//!                      Turn             Turn        who ends which sleep (turn.rs)
//! ```
//!
//! * Q1  Links and place are touched only under the lock around the queue: every method wants `&mut` of what that lock guards.
//! * Q2  A waiter stays where it is, alive, from `push` until it was popped or removed: its owner removes it before its
//!   frame ends, whatever ends it.
//! * Q3  Whoever pops a waiter claims its turn, and does not touch the waiter after finishing it (U3).
//! * Q4  The links of a waiter outside of a queue are empty, and its owner's; once it is promised (`Promised`) they are the promiser's,
//!   until he finishes it. He may leave in one of them who is to be served by that waiter in turn: its partner.
//!
//! Nodes live with the sleeper, so any number can wait without allocation. No waker is called, cloned or dropped under
//! the lock: those run foreign code. Wakers leave as values, in a [`Wakers`] batch where there are many.

use crate::{
    spin::{SpinMutex, SpinMutexGuard},
    sync::UnsafeCell,
    turn::Turn,
};
use core::{
    cell::Cell,
    marker::{PhantomData, PhantomPinned},
    mem::MaybeUninit,
    ptr::NonNull,
    task::Waker,
};

/// A place in a queue, with what the peer needs to do its part.
pub(crate) struct Waiter<P> {
    links: UnsafeCell<Links<P>>,
    /// The place in the line, counted since the queue was made, in odd numbers: see [`WaitQueue::line`]. Zero outside of a line. In a
    /// cell of its own, as its owner looks here while a promiser has the links (Q4).
    place: UnsafeCell<usize>,
    /// Set before the first time in a queue.
    turn: Cell<NonNull<Turn>>,
    arm: u32,
    pub(crate) payload: P,
    _pinned: PhantomPinned,
}

struct Links<P> {
    /// Outside of a line, the waiter's partner (Q4).
    next: Option<NonNull<Waiter<P>>>,
    prev: Option<NonNull<Waiter<P>>>,
}

impl<P> Waiter<P> {
    /// A waiter outside of any queue, which stands for arm `arm` of `turn`.
    pub(crate) fn new(turn: &Turn, arm: u32, payload: P) -> Self {
        let waiter = Self::unbound(arm, payload);
        waiter.bind(turn);
        waiter
    }

    /// A waiter whose turn is not in place yet: to be [bound](Self::bind) before it goes into a queue.
    pub(crate) fn unbound(arm: u32, payload: P) -> Self {
        let links = UnsafeCell::new(Links { next: None, prev: None });
        let turn = Cell::new(NonNull::dangling());
        Self { links, place: UnsafeCell::new(0), turn, arm, payload, _pinned: PhantomPinned }
    }

    /// The waiter is in no queue.
    pub(crate) fn bind(&self, turn: &Turn) {
        self.turn.set(NonNull::from(turn));
    }

    /// # Safety
    ///
    /// The caller holds the lock around the queue that the waiter is put into, and it is in no other.
    unsafe fn enter(&self, links: Links<P>, place: usize) {
        // SAFETY: Q1.
        self.links.with_mut(|l| unsafe { *l = links });
        // SAFETY: as above.
        self.place.with_mut(|p| unsafe { *p = place });
    }

    /// Takes the partner that a peer has left: see [`Promised::leave_partner`].
    ///
    /// # Safety
    ///
    /// The caller owns the waiter, which is in no queue; its turn is done, or nobody has claimed it.
    pub(crate) unsafe fn take_partner(&self) -> Option<NonNull<Self>> {
        // SAFETY: Q4.
        self.links.with_mut(|l| unsafe { (*l).next.take() })
    }
}

/// A claimed waiter on its way to be finished, while the queue's lock is held.
pub(crate) struct Claimed<'q, P> {
    waiter: NonNull<Waiter<P>>,
    /// The borrow of the queue: its lock is held until this is finished.
    _queue: PhantomData<&'q mut WaitQueue<P>>,
}

impl<P> Claimed<'_, P> {
    pub(crate) fn payload(&self) -> &P {
        // SAFETY: alive by Q2: its turn is claimed and not done, so its owner waits for us.
        unsafe { &self.waiter.as_ref().payload }
    }

    /// Ends the waiter's sleep, by the arm it stands for. The waker is to be called after the lock is given back.
    #[must_use]
    pub(crate) fn finish(self) -> Option<Waker> {
        // SAFETY: as in `payload`.
        let arm = unsafe { self.waiter.as_ref() }.arm;
        self.finish_as(arm)
    }

    /// To be finished later, by [`Promised::finish`], without the queue's lock. Its owner waits until then.
    pub(crate) fn promise(self) -> Promised<P> {
        Promised(self.waiter)
    }

    /// Ends the waiter's sleep with `outcome` in the arm's place: for waiters that stand in one queue only.
    #[must_use]
    pub(crate) fn finish_as(self, outcome: u32) -> Option<Waker> {
        // SAFETY: as in `payload`. The turn outlives its nodes' places in queues, and by U3 this is the last touch.
        unsafe { self.waiter.as_ref().turn.get().as_ref().finish(outcome) }
    }
}

/// A claimed waiter that is finished without its queue's lock: its owner stays for it, whatever else he would like to do.
pub(crate) struct Promised<P>(NonNull<Waiter<P>>);

impl<P> Promised<P> {
    /// A waiter that stands in no queue, and whose owner waits for this one peer.
    ///
    /// # Safety
    ///
    /// It and its turn, which is claimed, stay in place until the turn is done.
    pub(crate) unsafe fn new(waiter: &Waiter<P>) -> Self {
        Self(NonNull::from(waiter))
    }

    pub(crate) fn payload(&self) -> &P {
        // SAFETY: alive by Q2: claimed and not done, so its owner waits for us.
        unsafe { &self.0.as_ref().payload }
    }

    /// Leaves with the waiter another one, which its owner finds by [`take_partner`](Waiter::take_partner) when this is finished.
    pub(crate) fn leave_partner(&self, partner: &Waiter<P>) {
        // SAFETY: alive, as in `payload`; Q4.
        unsafe { self.0.as_ref() }.links.with_mut(|l| unsafe { (*l).next = Some(NonNull::from(partner)) });
    }

    /// Ends the waiter's sleep, by the arm it stands for.
    #[must_use]
    pub(crate) fn finish(self) -> Option<Waker> {
        // SAFETY: as in `payload`; by U3 this is the last touch.
        unsafe { self.0.as_ref().turn.get().as_ref().finish(self.0.as_ref().arm) }
    }
}

pub(crate) struct WaitQueue<P> {
    first: Option<NonNull<Waiter<P>>>,
    last: Option<NonNull<Waiter<P>>>,
    /// The place of the next one who comes.
    next_place: usize,
}

// SAFETY: the queue reaches its waiters only through Q1 and Q2, from whichever thread holds the lock; payloads cross
// threads, so they must be Send.
unsafe impl<P: Send> Send for WaitQueue<P> {}

impl<P> WaitQueue<P> {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, next_place: 1 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// What the first waiter brought, who stays in the line.
    pub(crate) fn peek(&self) -> Option<&P> {
        // SAFETY: linked, so alive by Q2, for as long as the lock is held, which the borrow of `self` stands for.
        self.first.map(|first| unsafe { &(*first.as_ptr()).payload })
    }

    /// Puts `waiter` at the end of the line.
    ///
    /// # Safety
    ///
    /// It is in no queue; it and its turn stay in place until it was popped, or removed from this same queue.
    pub(crate) unsafe fn push_back(&mut self, waiter: &Waiter<P>) {
        let node = NonNull::from(waiter);
        let (last, place) = (self.last, self.next_place);
        self.next_place = place.wrapping_add(2);
        // SAFETY: Q1, we hold the lock; the caller says it is in no other queue.
        unsafe { waiter.enter(Links { next: None, prev: last }, place) };
        match last {
            None => self.first = Some(node),
            // SAFETY: linked, so alive by Q2; Q1.
            Some(last) => unsafe { last.as_ref() }.links.with_mut(|l| unsafe { (*l).next = Some(node) }),
        }
        self.last = Some(node);
    }

    /// Puts `waiter` at the head of the line: it has waited before.
    ///
    /// # Safety
    ///
    /// As for [`push_back`](Self::push_back).
    pub(crate) unsafe fn push_front(&mut self, waiter: &Waiter<P>) {
        let node = NonNull::from(waiter);
        let first = self.first;
        let place = self.next_place.wrapping_sub(2);
        // SAFETY: Q1, we hold the lock; the caller says it is in no other queue.
        unsafe { waiter.enter(Links { next: first, prev: None }, place) };
        match first {
            None => self.last = Some(node),
            // SAFETY: linked, so alive by Q2; Q1.
            Some(first) => unsafe { first.as_ref() }.links.with_mut(|l| unsafe { (*l).prev = Some(node) }),
        }
        self.first = Some(node);
    }

    /// Claims the first waiter who still waits. Those that were ended through another queue (a select's other arm) are
    /// dropped from the line on the way.
    pub(crate) fn pop(&mut self) -> Option<Claimed<'_, P>> {
        loop {
            let waiter = self.first?;
            // SAFETY: linked, so alive by Q2; the lock is held, so its owner cannot have removed it meanwhile.
            let claimed = unsafe {
                self.unlink(waiter);
                waiter.as_ref().turn.get().as_ref().claim()
            };
            if claimed {
                return Some(Claimed { waiter, _queue: PhantomData });
            }
        }
    }

    /// Claims the first waiter who still waits and brought what `wanted` says. The others stay in the line.
    pub(crate) fn pop_if(&mut self, wanted: impl Fn(&P) -> bool) -> Option<Claimed<'_, P>> {
        let mut next = self.first;
        while let Some(waiter) = next {
            // SAFETY: linked, so alive by Q2; the lock is held, so its owner cannot have removed it meanwhile.
            let claimed = unsafe {
                next = waiter.as_ref().links.with(|l| (*l).next);
                if !wanted(&waiter.as_ref().payload) {
                    continue;
                }
                self.unlink(waiter);
                waiter.as_ref().turn.get().as_ref().claim()
            };
            if claimed {
                return Some(Claimed { waiter, _queue: PhantomData });
            }
        }
        None
    }

    /// Whether there is a waiter, who may have been ended through another queue, that brought what `wanted` says.
    pub(crate) fn any(&self, wanted: impl Fn(&P) -> bool) -> bool {
        self.find(wanted).is_some()
    }

    /// The first in line of what `wanted` says, among what they brought. As for [`any`](Self::any).
    pub(crate) fn find(&self, wanted: impl Fn(&P) -> bool) -> Option<&P> {
        let mut next = self.first;
        while let Some(waiter) = next {
            // SAFETY: linked, so alive by Q2, for as long as the lock is held, which the borrow of `self` stands for.
            let waiter = unsafe { &*waiter.as_ptr() };
            if wanted(&waiter.payload) {
                return Some(&waiter.payload);
            }
            // SAFETY: Q1.
            next = waiter.links.with(|l| unsafe { (*l).next });
        }
        None
    }

    /// Claims the first waiter who came before `line`, a place that [`line`](Self::line) gave.
    pub(crate) fn pop_before(&mut self, line: usize) -> Option<Claimed<'_, P>> {
        let first = self.first?;
        // SAFETY: linked, so alive by Q2; Q1.
        let place = unsafe { first.as_ref() }.place.with(|place| unsafe { *place });
        // The distance, not the order: places wrap.
        if (line.wrapping_sub(place) as isize) <= 0 {
            return None;
        }
        self.pop()
    }

    /// The place that the next waiter will get: all who wait now stand before it.
    pub(crate) fn line(&self) -> usize {
        self.next_place
    }

    /// Whether `waiter` is in the line. It is in this one if in any.
    pub(crate) fn contains(&self, waiter: &Waiter<P>) -> bool {
        // SAFETY: Q1.
        waiter.place.with(|place| unsafe { *place != 0 })
    }

    /// Takes `waiter` out of the line. False if it is not in it (any more).
    ///
    /// # Safety
    ///
    /// If it is in a queue, it is in this one.
    pub(crate) unsafe fn remove(&mut self, waiter: &Waiter<P>) -> bool {
        let linked = self.contains(waiter);
        if linked {
            // SAFETY: linked, in this queue by the caller's word.
            unsafe { self.unlink(NonNull::from(waiter)) };
        }
        linked
    }

    /// # Safety
    ///
    /// `waiter` is linked in this queue.
    unsafe fn unlink(&mut self, waiter: NonNull<Waiter<P>>) {
        // SAFETY: all three are linked here, so alive by Q2, and their links are ours by Q1.
        unsafe {
            waiter.as_ref().place.with_mut(|place| *place = 0);
            let (prev, next) = waiter.as_ref().links.with_mut(|l| ((*l).prev.take(), (*l).next.take()));
            match prev {
                None => self.first = next,
                Some(prev) => prev.as_ref().links.with_mut(|l| (*l).next = next),
            }
            match next {
                None => self.last = prev,
                Some(next) => next.as_ref().links.with_mut(|l| (*l).prev = prev),
            }
        }
    }
}

/// Wakers collected under a lock, to be called after it is given back. Dropped, it calls those that are left, so that a
/// waker that panics costs nobody else the wake-up.
pub struct Wakers {
    /// The first `len` are there.
    wakers: [MaybeUninit<Waker>; Wakers::ROOM],
    len: usize,
}

impl Wakers {
    const ROOM: usize = 16;

    #[inline]
    pub(crate) fn new() -> Self {
        Self { wakers: [const { MaybeUninit::uninit() }; Self::ROOM], len: 0 }
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len == Self::ROOM
    }

    /// Room is the caller's business: see [`is_full`](Self::is_full).
    #[inline]
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wakers[self.len].write(waker);
            self.len += 1;
        }
    }

    /// Calls them all, in the order they came.
    #[inline]
    pub(crate) fn wake(self) {}
}

impl Drop for Wakers {
    fn drop(&mut self) {
        struct Rest<'a>(core::slice::Iter<'a, MaybeUninit<Waker>>);
        impl Rest<'_> {
            fn wake(&mut self) {
                for waker in self.0.by_ref() {
                    // SAFETY: one of the first `len`, and passed over once.
                    unsafe { waker.assume_init_read() }.wake();
                }
            }
        }
        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                self.wake();
            }
        }
        Rest(self.wakers[..self.len].iter()).wake();
    }
}

/// Gives the lock back and wakes, batch by batch: `next` fills one under the lock, and says whether others are left. A waker
/// that panics costs nobody in a later batch the wake-up either.
pub(crate) fn wake_in_batches<'a, S>(
    lock: &'a SpinMutex<S>,
    state: SpinMutexGuard<'a, S>,
    next: impl FnMut(&mut S, &mut Wakers) -> bool,
) {
    struct Batches<'a, S, F: FnMut(&mut S, &mut Wakers) -> bool> {
        lock: &'a SpinMutex<S>,
        next: F,
        left: bool,
    }
    impl<'a, S, F: FnMut(&mut S, &mut Wakers) -> bool> Batches<'a, S, F> {
        fn run(&mut self, mut state: SpinMutexGuard<'a, S>) {
            loop {
                let mut wakers = Wakers::new();
                self.left = (self.next)(&mut state, &mut wakers);
                drop(state);
                wakers.wake();
                if !self.left {
                    return;
                }
                state = self.lock.lock();
            }
        }
    }
    impl<S, F: FnMut(&mut S, &mut Wakers) -> bool> Drop for Batches<'_, S, F> {
        fn drop(&mut self) {
            // Unwinding from a batch that was not the last.
            if self.left {
                self.run(self.lock.lock());
            }
        }
    }
    Batches { lock, next, left: false }.run(state);
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::UnsafeCell;
    use core::task::Poll;
    use loom::thread;
    use std::sync::Arc;

    type Line = SpinMutex<WaitQueue<UnsafeCell<u32>>>;

    /// Pops from `line` and writes to the waiter it got, if it got one.
    fn serve(line: &Line, value: u32) -> bool {
        let mut queue = line.lock();
        let Some(waiter) = queue.pop() else { return false };
        // SAFETY: claimed and not finished, so the payload is ours.
        waiter.payload().with_mut(|payload| unsafe { *payload = value });
        let waker = waiter.finish();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    /// One waiter in two lines, a peer at each: one of them gets it, the waiter wakes and sees what that one wrote, and may
    /// end at once (U3). Fails if `finish` or `outcome` is Relaxed, or if `claim` lets both in.
    #[test]
    fn queue_one_waiter_two_peers() {
        loom::model(|| {
            let lines: Arc<[Line; 2]> = Arc::new([SpinMutex::new(WaitQueue::new()), SpinMutex::new(WaitQueue::new())]);
            let turn = Turn::of_several();
            let waiters = [0, 1].map(|arm| Waiter::new(&turn, arm, UnsafeCell::new(0)));
            let mut peers = None;
            loom::future::block_on(core::future::poll_fn(|cx| {
                if peers.is_none() {
                    // SAFETY: in no queue yet; `waiters` and `turn` stay until both are out of the lines.
                    unsafe {
                        turn.arm(cx.waker().clone());
                        (0..2).for_each(|i| lines[i].lock().push_back(&waiters[i]));
                    }
                    peers = Some([0, 1].map(|i| {
                        let lines = lines.clone();
                        thread::spawn(move || serve(&lines[i], 10 + i as u32))
                    }));
                }
                if turn.outcome().is_some() { Poll::Ready(()) } else { Poll::Pending }
            }));
            let arm = turn.outcome().unwrap();
            // SAFETY: each is in its own line, if at all.
            (0..2).for_each(|i| _ = unsafe { lines[i].lock().remove(&waiters[i]) });
            // SAFETY: the turn is done by this arm, so its payload is ours.
            assert_eq!(waiters[arm as usize].payload.with(|payload| unsafe { *payload }), 10 + arm);
            let served = peers.unwrap().map(|peer| peer.join().unwrap());
            assert_eq!(served, [arm == 0, arm == 1]);
        });
    }

    /// A waiter that gives up while a peer comes: it was served, or it is out of the line and nobody saw it.
    #[test]
    fn queue_withdrawal_meets_peer() {
        loom::model(|| {
            let line: Arc<Line> = Arc::new(SpinMutex::new(WaitQueue::new()));
            let turn = Turn::new();
            let waiter = Waiter::new(&turn, 0, UnsafeCell::new(0));
            // SAFETY: in no queue yet, and removed below.
            unsafe { line.lock().push_back(&waiter) };
            let peer = {
                let line = line.clone();
                thread::spawn(move || serve(&line, 7))
            };
            // SAFETY: the only queue it is in.
            let withdrawn = unsafe { line.lock().remove(&waiter) };
            // SAFETY: withdrawn, or done (U4).
            let value = waiter.payload.with(|payload| unsafe { *payload });
            assert_eq!((withdrawn, value), if turn.outcome().is_some() { (false, 7) } else { (true, 0) });
            assert_eq!(peer.join().unwrap(), !withdrawn);
        });
    }
}
