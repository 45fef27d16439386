//! The lock without its value: the state word, the line, and who is let go by an unlock.

use crate::{
    park::{self, Tick, Why},
    queue::{WaitQueue, Wakers, wake_in_batches},
    seat::{End, GRANTED, Kind, Seat, WOKEN},
    spin::SpinMutex,
    sync::{
        atomic::{AtomicU32, Ordering::*},
        const_unless_loom,
    },
};
use core::{
    cell::Cell,
    mem,
    panic::Location,
    pin::{Pin, pin},
    task::{Poll, Waker},
};

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;

type Line = WaitQueue<Cell<Kind>>;

/// The lock inside a [`Mutex`](crate::Mutex), without a value: for `lock_api`'s generic code.
pub struct RawMutex {
    /// | operation           | order   | pairs with | so that                                            |
    /// |---------------------|---------|------------|----------------------------------------------------|
    /// | set L               | Acquire | clear L    | the new holder sees what the last one wrote        |
    /// | clear L             | Release | set L      | the same                                           |
    /// | set or clear Q, look | Relaxed | nothing   | M2: the queue lock orders them                     |
    ///
    /// A granted lock goes from holder to holder through the turn (`finish`, `outcome`).
    state: AtomicU32,
    line: SpinMutex<Line>,
}

impl RawMutex {
    const_unless_loom! {
        pub(crate) fn unlocked() -> Self {
            Self { state: AtomicU32::new(0), line: SpinMutex::new(WaitQueue::new()) }
        }
    }

    #[inline]
    pub(crate) fn lock_at(&self, site: &'static Location<'static>) {
        park::give_way();
        if self.state.compare_exchange_weak(0, LOCKED, Acquire, Relaxed).is_err() {
            self.lock_contended(None, site);
        }
    }

    /// False if the time is up.
    pub(crate) fn lock_until(&self, deadline: Option<Tick>, site: &'static Location<'static>) -> bool {
        park::give_way();
        self.take() || self.lock_contended(deadline, site)
    }

    #[inline]
    pub(crate) fn take(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        while state & LOCKED == 0 {
            match self.state.compare_exchange_weak(state, state | LOCKED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.state.load(Relaxed) & LOCKED != 0
    }

    #[cold]
    fn lock_contended(&self, deadline: Option<Tick>, site: &'static Location<'static>) -> bool {
        #[cfg(not(loom))]
        for _ in 0..16 {
            // Those who sleep came first.
            if self.state.load(Relaxed) & QUEUED != 0 {
                break;
            }
            if self.take() {
                return true;
            }
            core::hint::spin_loop();
        }
        let why = Why::new("lock a mutex", self, site);
        let wait = pin!(Wait::new(self, Kind::Patient));
        let wait = wait.as_ref();
        match park::wait(&why, deadline, &mut |waker| wait.poll(waker)) {
            Ok(()) => true,
            Err(_) => wait.give_up(),
        }
    }

    /// # Safety
    ///
    /// The caller is the holder, and does not touch the value again.
    #[inline]
    pub(crate) unsafe fn give_back(&self) {
        if self.state.compare_exchange(LOCKED, 0, Release, Relaxed).is_err() {
            self.let_go(false);
        }
    }

    /// As [`give_back`](Self::give_back), but the first blocking call in line has the lock next, whoever else would like it.
    ///
    /// # Safety
    ///
    /// As there.
    pub(crate) unsafe fn hand_over(&self) {
        if self.state.compare_exchange(LOCKED, 0, Release, Relaxed).is_err() {
            self.let_go(true);
        }
    }

    /// Unlocks while somebody may be in line: grants the lock, or wakes (M3). The caller is the holder.
    #[cold]
    fn let_go(&self, hand_over: bool) {
        let mut line = self.line.lock();
        let call = line.find(|kind| kind.get().is_certain()).map(Cell::get);
        let granted = call.is_some_and(|kind| hand_over || kind == Kind::Impatient);
        if granted || line.peek().is_some_and(|kind| kind.get().is_certain()) {
            // It alone. If it is only woken, it is not served yet: `take` may fail.
            let (outcome, locked) = if granted { (GRANTED, LOCKED) } else { (WOKEN, 0) };
            let waker = line.pop_if(|kind| kind.get().is_certain()).and_then(|waiter| waiter.finish_as(outcome));
            // M2: L is set, and we hold the queue lock, so this may be a store.
            self.state.store(locked | queued(&line), Release);
            drop(line);
            waker.into_iter().for_each(Waker::wake);
            return;
        }
        let mut ours = true;
        wake_in_batches(&self.line, line, |line, wakers| {
            // Later, if somebody has taken it, his unlock will wake the others.
            let left = (ours || !self.is_taken()) && wake_some(line, wakers);
            if mem::take(&mut ours) {
                // M2: as above. A `take` may come from here on.
                self.state.store(queued(line), Release);
            } else if line.is_empty() {
                self.state.fetch_and(!QUEUED, Relaxed);
            }
            left
        });
    }

    /// Says that somebody is in line. False if the lock is free. The caller holds the queue lock.
    fn announce(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        loop {
            if state & LOCKED == 0 {
                return false;
            }
            if state & QUEUED != 0 {
                return true;
            }
            match self.state.compare_exchange_weak(state, state | QUEUED, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }
}

fn queued(line: &Line) -> u32 {
    if line.is_empty() { 0 } else { QUEUED }
}

/// Lets waiters go up to the first blocking call, which is certain to run. True if there was no room for all the wakers.
fn wake_some(line: &mut Line, wakers: &mut Wakers) -> bool {
    while !wakers.is_full() {
        let Some(waiter) = line.pop() else { return false };
        let certain = waiter.payload().get().is_certain();
        wakers.push(waiter.finish_as(WOKEN));
        if certain {
            return false;
        }
    }
    true
}

/// A wait for the lock, polled by [`park::wait`] or by a future's executor.
pub(crate) struct Wait<'a> {
    lock: &'a RawMutex,
    seat: Seat<Cell<Kind>>,
    kind: Kind,
    /// How often it was woken and somebody else was quicker.
    vain: Cell<u32>,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(lock: &'a RawMutex, kind: Kind) -> Self {
        Self { lock, seat: Seat::new(Cell::new(kind)), kind, vain: Cell::new(0) }
    }

    /// `Ready` means that the lock is the caller's.
    pub(crate) fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<()> {
        let this = self.get_ref();
        // SAFETY: the seat is pinned whenever we are; `drop` leaves the line.
        let seat = unsafe { self.map_unchecked(|this| &this.seat) };
        // Declared before the guards, so dropped after them: wakers are foreign code.
        let mut fresh = None;
        loop {
            match seat.outcome() {
                Some(GRANTED) => return Poll::Ready(()),
                Some(_) => this.vain.set(this.vain.get().saturating_add(1)),
                // Asked without having been woken. A blocking call keeps its place; a future that is polled runs, and whoever
                // runs may take a free lock.
                None if seat.is_taken() && this.kind.is_certain() => return Poll::Pending,
                None => {}
            }
            if this.lock.take() {
                this.leave();
                return Poll::Ready(());
            }
            if !seat.is_taken() && fresh.is_none() {
                fresh = Some(waker.clone());
            }
            let mut line = this.lock.line.lock();
            if !this.lock.announce() || seat.is_done() {
                continue;
            }
            let end = if this.vain.get() > 0 { End::Head } else { End::Tail };
            if !seat.is_taken() {
                seat.payload().set(this.kind.after(this.vain.get()));
            }
            // SAFETY: this line is the seat's only one, its lock is held, and the sleep is not over: a line ago.
            if unsafe { seat.sit(&mut line, end, waker, &mut fresh) } {
                return Poll::Pending;
            }
            drop(line);
            fresh = Some(waker.clone());
        }
    }

    fn leave(&self) -> Option<usize> {
        if !self.seat.is_taken() {
            return None;
        }
        // SAFETY: under the lock of its only line.
        unsafe { self.seat.leave(&mut self.lock.line.lock()) }
    }

    /// The time is up. True if the lock is ours all the same.
    pub(super) fn give_up(&self) -> bool {
        match self.leave() {
            None => false,
            Some(GRANTED) => true,
            // M3: if somebody else was quicker, his unlock sees those behind us.
            Some(_) => self.lock.take(),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // M3: it was let go and will not use that: the lock is taken, if it was not granted, and given back.
        match self.leave() {
            None => {}
            Some(GRANTED) => self.lock.let_go(false),
            Some(_) if self.lock.take() => self.lock.let_go(false),
            Some(_) => {}
        }
    }
}
