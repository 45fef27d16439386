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
/// Somebody in line has lost patience: nobody goes past the line. Never without `QUEUED`.
const STARVED: u32 = 4;

struct Line {
    waiters: WaitQueue<Cell<Kind>>,
    /// How many of them are impatient.
    starved: usize,
}

impl Line {
    /// What the state has to say of it.
    fn signs(&self) -> u32 {
        match (self.waiters.is_empty(), self.starved) {
            (true, _) => 0,
            (false, 0) => QUEUED,
            (false, _) => QUEUED | STARVED,
        }
    }

    /// Takes the first waiter of a kind like this out of the line, and lets it go. Its waker, if there was such a one and it has
    /// left a waker.
    fn let_first_go(&mut self, outcome: u32, like: fn(Kind) -> bool) -> Option<Option<Waker>> {
        let waiter = self.waiters.pop_if(|kind| like(kind.get()))?;
        self.starved -= usize::from(waiter.payload().get().is_impatient());
        Some(waiter.finish_as(outcome))
    }
}

/// The lock inside a [`Mutex`](crate::Mutex), without a value: for `lock_api`'s generic code.
pub struct RawMutex {
    /// | operation           | order   | pairs with | so that                                            |
    /// |---------------------|---------|------------|----------------------------------------------------|
    /// | set L               | Acquire | clear L    | the new holder sees what the last one wrote        |
    /// | clear L             | Release | set L      | the same                                           |
    /// | set L again, to let go | Acquire | clear L | by the store that follows, the next holder sees what those wrote who came between |
    /// | set or clear Q or S, look | Relaxed | nothing | M2: the queue lock orders them                  |
    ///
    /// A granted lock goes from holder to holder through the turn (`finish`, `outcome`).
    state: AtomicU32,
    line: SpinMutex<Line>,
}

impl RawMutex {
    const_unless_loom! {
        pub(crate) fn unlocked() -> Self {
            Self { state: AtomicU32::new(0), line: SpinMutex::new(Line { waiters: WaitQueue::new(), starved: 0 }) }
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
        self.set_locked(LOCKED | STARVED)
    }

    /// Takes the lock, unless one of these bits is set.
    #[inline]
    fn set_locked(&self, obstacles: u32) -> bool {
        let mut state = self.state.load(Relaxed);
        while state & obstacles == 0 {
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
        let mut look = || match self.state.load(Relaxed) & QUEUED {
            0 => self.take().then_some(true),
            _ => Some(false), // those who sleep came first
        };
        let found = park::look_around(&mut look);
        if found.or_else(|| park::let_others_run(deadline.is_some(), &mut look)) == Some(true) {
            return true;
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
        // Cheaper than a compare-exchange, which would keep the lock if somebody is in line.
        if self.state.fetch_sub(LOCKED, Release) != LOCKED {
            self.look_at_line();
        }
    }

    /// Somebody is in line, and the lock is free: it is taken once more, to let go. Or somebody was quicker; he will look.
    #[cold]
    fn look_at_line(&self) {
        if self.set_locked(LOCKED) {
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
        let starved = line.starved > 0;
        if starved || hand_over {
            let like = if starved { Kind::is_impatient } else { Kind::is_certain };
            if let Some(waker) = line.let_first_go(GRANTED, like) {
                // L is another's now, so the state is not ours to change: Q and S stay, and his unlock will look at the line.
                drop(line);
                waker.into_iter().for_each(Waker::wake);
                return;
            }
        }
        if line.waiters.peek().is_some_and(|kind| kind.get().is_certain()) {
            // It alone. It is not served yet: `take` may fail.
            let waker = line.let_first_go(WOKEN, |_| true).flatten();
            // M2: L is set, and we hold the queue lock, so this may be a store.
            self.state.store(line.signs(), Release);
            drop(line);
            waker.into_iter().for_each(Waker::wake);
            return;
        }
        let mut ours = true;
        wake_in_batches(&self.line, line, |line, wakers| {
            // Later, if somebody has taken it, his unlock will wake the others.
            let left = (ours || (!self.is_taken() && line.starved == 0)) && wake_some(line, wakers);
            if mem::take(&mut ours) {
                // M2: as above. A `take` may come from here on.
                self.state.store(line.signs(), Release);
            } else if line.waiters.is_empty() {
                self.state.fetch_and(!QUEUED, Relaxed);
            }
            left
        });
    }

    /// Says that somebody is in line. False if the lock is free for all. The caller holds the queue lock, and sits down before it
    /// gives that back.
    fn announce(&self, kind: Kind) -> bool {
        let signs = if kind.is_impatient() { QUEUED | STARVED } else { QUEUED };
        let mut state = self.state.load(Relaxed);
        loop {
            if state & (LOCKED | STARVED) == 0 {
                return false;
            }
            if state & signs == signs {
                return true;
            }
            match self.state.compare_exchange_weak(state, state | signs, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }
}

/// Lets waiters go up to the first blocking call, which is certain to run. True if there was no room for all the wakers.
fn wake_some(line: &mut Line, wakers: &mut Wakers) -> bool {
    while !wakers.is_full() {
        let Some(certain) = line.waiters.peek().map(|kind| kind.get().is_certain()) else { return false };
        wakers.push(line.let_first_go(WOKEN, |_| true).flatten());
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
            let kind = this.kind.after(this.vain.get());
            let mut line = this.lock.line.lock();
            if !this.lock.announce(kind) || seat.is_done() {
                continue;
            }
            let end = if this.vain.get() > 0 { End::Head } else { End::Tail };
            if !seat.is_taken() {
                seat.payload().set(kind);
                line.starved += usize::from(kind.is_impatient());
            }
            // SAFETY: this line is the seat's only one, its lock is held, and the sleep is not over: a line ago.
            if unsafe { seat.sit(&mut line.waiters, end, waker, &mut fresh) } {
                return Poll::Pending;
            }
            drop(line);
            fresh = Some(waker.clone());
        }
    }

    fn leave(&self) -> Option<u32> {
        if !self.seat.is_taken() {
            return None;
        }
        let mut line = self.lock.line.lock();
        // SAFETY: under the lock of its only line.
        let outcome = unsafe { self.seat.leave(&mut line.waiters) };
        if outcome.is_none() && self.seat.payload().get().is_impatient() {
            line.starved -= 1; // the next unlock puts S right
        }
        outcome
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
