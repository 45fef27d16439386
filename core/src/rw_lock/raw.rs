//! The lock without its value: how one comes in and leaves, the line, and who is let go by an unlock.

use super::{
    Access,
    slots::Bias,
    state::{State, Turn},
};
use crate::{
    park::{self, Tick, Why},
    queue::{WaitQueue, Wakers, wake_in_batches},
    seat::{End, GRANTED, Kind, Seat, WOKEN},
    spin::{SpinMutex, SpinMutexGuard},
    sync::const_unless_loom,
};
use core::{
    cell::Cell,
    panic::Location,
    pin::{Pin, pin},
    task::{Poll, Waker},
};

/// The lock inside an [`RwLock`](crate::RwLock), without a value: for `lock_api`'s generic code.
pub struct RawRwLock {
    pub(super) state: State,
    pub(super) bias: Bias,
    line: SpinMutex<Line>,
}

struct Line {
    waiters: WaitQueue<Cell<(Access, Kind)>>,
    /// How many of them are impatient.
    starved: usize,
}

impl Line {
    /// Somebody who is, or was, in line no longer is.
    fn forget(&mut self, kind: Kind) {
        self.starved -= usize::from(kind.is_impatient());
    }
}

/// How a caller wants to come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Behind those who wait.
    InLine,
    /// Before them, if the lock is free and none of them has lost patience (R4).
    Barging,
    /// Past them: a read that may be nested in another, or a waiter that the line has let go. Only a holder keeps it out.
    Nested,
}

impl RawRwLock {
    const_unless_loom! {
        pub(crate) fn unlocked() -> Self {
            Self::with_readers(0)
        }
    }

    const_unless_loom! {
        /// Held by `readers` readers, for tests near the end of the count.
        pub(super) fn with_readers(readers: usize) -> Self {
            Self {
                state: State::with_readers(readers),
                bias: Bias::new(),
                line: SpinMutex::new(Line { waiters: WaitQueue::new(), starved: 0 }),
            }
        }
    }

    /// # Panics
    ///
    /// If there is no room for another reader.
    #[inline]
    #[track_caller]
    pub(crate) fn try_enter(&self, access: Access, manners: Manners) -> bool {
        self.state.enter_at_once(access) || self.try_enter_contended(access, manners)
    }

    #[cold]
    #[track_caller]
    fn try_enter_contended(&self, access: Access, manners: Manners) -> bool {
        if self.state.overflows(access) {
            overflow();
        }
        self.enter_word(access, manners)
    }

    /// False if somebody is in the way.
    fn enter_word(&self, access: Access, manners: Manners) -> bool {
        if access == Access::Write {
            self.revoke();
        }
        self.state.enter(access, manners)
    }

    /// Enters, if nobody is in line, or in the way, or quicker. May fail for no reason.
    pub(super) fn enter_at_once(&self, access: Access) -> bool {
        self.state.enter_at_once(access)
    }

    #[inline]
    #[track_caller]
    pub(crate) fn enter(&self, access: Access) {
        park::give_way();
        if !self.state.enter_at_once(access) {
            self.enter_contended(access);
        }
    }

    #[cold]
    #[track_caller]
    fn enter_contended(&self, access: Access) {
        self.enter_until(access, Manners::InLine, None);
    }

    #[track_caller]
    pub(crate) fn enter_nested(&self) {
        self.enter_until(Access::Read, Manners::Nested, None);
    }

    /// False if the time is up.
    #[track_caller]
    pub(crate) fn enter_until(&self, access: Access, manners: Manners, deadline: Option<Tick>) -> bool {
        park::give_way();
        self.try_enter(access, manners) || self.sleep(access, deadline, Location::caller())
    }

    /// A call that runs comes in before those who would have to be switched to (R4).
    pub(super) fn barge(&self, access: Access) -> bool {
        self.enter_word(access, Manners::Barging)
    }

    #[cold]
    fn sleep(&self, access: Access, deadline: Option<Tick>, site: &'static Location<'static>) -> bool {
        if self.barge(access) {
            return true;
        }
        let mut look = || match self.barge(access) {
            true => Some(true),
            false => self.state.is_queued().then_some(false), // those who sleep came first
        };
        let found = park::look_around(&mut look);
        if found.or_else(|| park::let_others_run(deadline.is_some(), &mut look)) == Some(true) {
            return true;
        }
        let what = match access {
            Access::Write => "write-lock an rwlock",
            // A report of a deadlock shows it: the one that is behind a nested read says so.
            Access::Read if self.is_read() => "read-lock an rwlock that is read, behind a writer that waits",
            Access::Read => "read-lock an rwlock",
        };
        let why = Why::new(what, self, site);
        let wait = pin!(Wait::new(self, access, Kind::Patient));
        let wait = wait.as_ref();
        match park::wait(&why, deadline, &mut |waker| wait.poll(waker)) {
            Ok(()) => true,
            Err(_) => wait.give_up(),
        }
    }

    /// # Safety
    ///
    /// The caller is a holder of this kind, and does not touch the value again.
    #[inline]
    pub(crate) unsafe fn leave(&self, access: Access) {
        if access == Access::Write {
            self.bias.forget_meetings();
        }
        if self.state.leave(access) {
            self.look_at_line();
        }
    }

    /// A writer becomes a reader, with nobody writing in between.
    ///
    /// # Safety
    ///
    /// The caller is the writer, and only reads from here on.
    pub(crate) unsafe fn downgrade(&self) {
        if self.state.downgrade() {
            self.look_at_line();
        }
    }

    /// Whether readers hold it who are counted in the word.
    pub(crate) fn is_read(&self) -> bool {
        self.state.is_read()
    }

    /// Whether a writer holds it.
    #[cfg(any(all(test, feature = "std"), feature = "lock_api"))]
    pub(crate) fn is_written(&self) -> bool {
        self.state.is_written()
    }

    #[cold]
    fn look_at_line(&self) {
        self.let_go(self.line.lock());
    }

    /// Lets go whoever is first in line and could come in: all futures up to the first call, and that call; if it reads, also
    /// the readers right behind it (R2).
    fn let_go<'a>(&'a self, line: SpinMutexGuard<'a, Line>) {
        let mut reading = false;
        wake_in_batches(&self.line, line, |line, wakers| {
            let left = self.let_some_go(line, wakers, &mut reading);
            self.state.tell(!line.waiters.is_empty(), line.starved > 0);
            left
        });
    }

    /// True if there was no room for all the wakers. `reading` says that a call was let go that reads, and that is certain
    /// to run: only who fits in beside it follows.
    fn let_some_go(&self, line: &mut Line, wakers: &mut Wakers, reading: &mut bool) -> bool {
        while !wakers.is_full() {
            let Some((access, kind)) = line.waiters.peek().map(Cell::get) else { return false };
            let (fits, outcome) = match kind {
                _ if *reading && access == Access::Write => return false,
                Kind::Impatient => (self.state.enter(access, Manners::Nested), GRANTED),
                Kind::Patient | Kind::Future => (self.state.admits(access), WOKEN),
            };
            if !fits {
                return false;
            }
            line.forget(kind);
            wakers.push(line.waiters.pop().and_then(|waiter| waiter.finish_as(outcome)));
            if kind.is_certain() {
                if access == Access::Write {
                    return false;
                }
                *reading = true;
            }
        }
        true
    }
}

#[cold]
#[track_caller]
fn overflow() -> ! {
    panic!("RwLock: too many readers: usize::MAX / 32 read guards exist or were forgotten");
}

/// A wait for the lock, polled by [`park::wait`] or by a future's executor.
pub(super) struct Wait<'a> {
    lock: &'a RawRwLock,
    seat: Seat<Cell<(Access, Kind)>>,
    access: Access,
    kind: Kind,
    /// How often it was woken and somebody else was quicker.
    vain: Cell<u32>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(lock: &'a RawRwLock, access: Access, kind: Kind) -> Self {
        Self { lock, seat: Seat::new(Cell::new((access, kind))), access, kind, vain: Cell::new(0) }
    }

    /// Whether it sat down, and has not heard yet what became of that.
    pub(super) fn is_in_line(&self) -> bool {
        self.seat.is_taken()
    }

    /// `Ready` means that the caller holds the lock.
    ///
    /// # Panics
    ///
    /// A future's, if there is no room for another reader. A call has looked before; should there be none any more, it waits.
    pub(super) fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<()> {
        let this = self.get_ref();
        // SAFETY: the seat is pinned whenever we are; `drop` leaves the line.
        let seat = unsafe { self.map_unchecked(|this| &this.seat) };
        let state = &this.lock.state;
        // Declared before the guards, so dropped after them: wakers are foreign code.
        let mut fresh = None;
        // Whether it was let go and has not sat down since: then it comes before those in line.
        let mut ahead = false;
        loop {
            match seat.outcome() {
                Some(GRANTED) => return Poll::Ready(()),
                Some(_) => {
                    ahead = true;
                    this.vain.set(this.vain.get().saturating_add(1));
                }
                None if seat.is_taken() && this.kind.is_certain() => return Poll::Pending,
                None => {}
            }
            if !seat.is_taken() && fresh.is_none() {
                fresh = Some(waker.clone());
            }
            if this.access == Access::Write {
                this.lock.revoke();
            }
            // The bias may begin anew before we have the line.
            let mut revokes = false;
            let mut line = this.lock.line.lock();
            if seat.is_done() {
                continue;
            }
            if !seat.is_taken() {
                if state.overflows(this.access) && this.kind == Kind::Future && !ahead {
                    drop(line);
                    overflow();
                }
                let kind = this.kind.after(this.vain.get());
                let manners = if ahead { Manners::Nested } else { Manners::InLine };
                match state.enter_or_queue(this.access, manners, kind.is_impatient()) {
                    Turn::Entered => return Poll::Ready(()),
                    Turn::Queued => {}
                    Turn::QueuedAsRevoker => revokes = true,
                }
                // It sits down below: there is a fresh waker.
                line.starved += usize::from(kind.is_impatient());
                seat.payload().set((this.access, kind));
            }
            let end = if ahead { End::Head } else { End::Tail };
            // SAFETY: this line is the seat's only one, its lock is held, and the sleep is not over: looked up above.
            let sits = unsafe { seat.sit(&mut line.waiters, end, waker, &mut fresh) };
            drop(line);
            if revokes {
                this.lock.move_readers();
            }
            if sits {
                return Poll::Pending;
            }
            fresh = Some(waker.clone());
        }
    }

    /// The time is up. True if the lock is held all the same.
    pub(super) fn give_up(&self) -> bool {
        if !self.seat.is_taken() {
            return false;
        }
        let mut line = self.lock.line.lock();
        // SAFETY: under the lock of its only line.
        let outcome = unsafe { self.seat.leave(&mut line.waiters) };
        let held = match outcome {
            Some(GRANTED) => true,
            Some(_) => self.lock.state.enter(self.access, Manners::Nested),
            None => {
                line.forget(self.seat.payload().get().1);
                false
            }
        };
        // R2: those behind it may be able to go in now.
        self.lock.let_go(line);
        held
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.give_up() {
            // SAFETY: held, as it says, and nobody has seen the value.
            unsafe { self.lock.leave(self.access) };
        }
    }
}
