//! The lock without its value: who holds it, the line, and who is let in by an unlock.

use super::Access;
use crate::{
    park::{self, Tick, Why},
    queue::{WaitQueue, wake_in_batches},
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
    state: SpinMutex<State>,
}

struct State {
    readers: usize,
    writer: bool,
    line: WaitQueue<Cell<(Access, Kind)>>,
}

impl State {
    /// Whether a holder of this kind can join those who hold it now (R1).
    fn admits(&self, access: Access) -> bool {
        !self.writer
            && match access {
                Access::Read => self.readers < usize::MAX,
                Access::Write => self.readers == 0,
            }
    }

    fn enter(&mut self, access: Access) {
        match access {
            Access::Read => self.readers += 1, // room by `admits`
            Access::Write => self.writer = true,
        }
    }

    /// No reader fits in, and that is not because of a writer: guards were forgotten, in numbers.
    fn overflows(&self, access: Access) -> bool {
        access == Access::Read && self.readers == usize::MAX
    }
}

/// How a caller wants to come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Behind those who wait (R3).
    InLine,
    /// A read that may be nested in another: only a writer inside keeps it out.
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
            Self { state: SpinMutex::new(State { readers, writer: false, line: WaitQueue::new() }) }
        }
    }

    /// # Panics
    ///
    /// If there is no room for another reader.
    #[inline]
    #[track_caller]
    pub(crate) fn try_enter(&self, access: Access, manners: Manners) -> bool {
        let mut state = self.state.lock();
        if state.overflows(access) {
            drop(state);
            overflow();
        }
        let free = (manners == Manners::Nested || state.line.is_empty()) && state.admits(access);
        if free {
            state.enter(access);
        }
        free
    }

    #[inline]
    #[track_caller]
    pub(crate) fn enter(&self, access: Access) {
        if !self.try_enter(access, Manners::InLine) {
            self.sleep(access, None, Location::caller());
        }
    }

    #[track_caller]
    pub(crate) fn enter_nested(&self) {
        self.enter_until(Access::Read, Manners::Nested, None);
    }

    /// False if the time is up.
    #[track_caller]
    pub(crate) fn enter_until(&self, access: Access, manners: Manners, deadline: Option<Tick>) -> bool {
        self.try_enter(access, manners) || self.sleep(access, deadline, Location::caller())
    }

    #[cold]
    fn sleep(&self, access: Access, deadline: Option<Tick>, site: &'static Location<'static>) -> bool {
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
    pub(crate) unsafe fn leave(&self, access: Access) {
        let mut state = self.state.lock();
        match access {
            Access::Read => state.readers -= 1,
            Access::Write => state.writer = false,
        }
        if !state.line.is_empty() {
            self.admit(state);
        }
    }

    /// A writer becomes a reader, with nobody writing in between.
    ///
    /// # Safety
    ///
    /// The caller is the writer, and only reads from here on.
    pub(crate) unsafe fn downgrade(&self) {
        let mut state = self.state.lock();
        state.writer = false;
        state.readers = 1; // R1: there was none
        if !state.line.is_empty() {
            self.admit(state);
        }
    }

    /// Whether readers hold it.
    pub(crate) fn is_read(&self) -> bool {
        self.state.lock().readers > 0
    }

    /// Whether a writer holds it.
    #[cfg(any(all(test, feature = "std"), feature = "lock_api"))]
    pub(crate) fn is_written(&self) -> bool {
        self.state.lock().writer
    }

    /// Lets in whoever is first in line, and the readers right behind a reader (R2). A blocking call is in before it wakes;
    /// but where a future that was woken may want to go first, the call is woken only, and all behind it wait for it (R4).
    #[cold]
    fn admit<'a>(&'a self, state: SpinMutexGuard<'a, State>) {
        let mut futures = Futures::default();
        wake_in_batches(&self.state, state, |state, wakers| {
            while !wakers.is_full() {
                let next = state.line.peek().map(Cell::get).filter(|(access, _)| state.admits(*access));
                let Some((access, kind)) = next else { return false };
                let outcome = match kind {
                    Kind::Future => WOKEN,
                    Kind::Patient if futures.may_keep_out(access) => WOKEN,
                    Kind::Patient | Kind::Impatient => GRANTED,
                };
                if outcome == GRANTED {
                    state.enter(access);
                }
                wakers.push(state.line.pop().and_then(|waiter| waiter.finish_as(outcome)));
                if outcome == WOKEN {
                    if kind.is_certain() {
                        return false;
                    }
                    futures.woken(access);
                }
            }
            true
        });
    }
}

#[cold]
#[track_caller]
fn overflow() -> ! {
    panic!("RwLock: too many readers: usize::MAX read guards exist or were forgotten");
}

/// The futures that one walk along the line has woken.
#[derive(Default)]
struct Futures {
    some: bool,
    writers: bool,
}

impl Futures {
    fn woken(&mut self, access: Access) {
        self.some = true;
        self.writers |= access == Access::Write;
    }

    /// Whether one of them could not come in after a holder of this kind.
    fn may_keep_out(&self, access: Access) -> bool {
        match access {
            Access::Read => self.writers,
            Access::Write => self.some,
        }
    }
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

    /// `Ready` means that the caller holds the lock.
    ///
    /// # Panics
    ///
    /// A future's, if there is no room for another reader. A call has looked before; should there be none any more, it waits.
    pub(super) fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<()> {
        let this = self.get_ref();
        // SAFETY: the seat is pinned whenever we are; `drop` leaves the line.
        let seat = unsafe { self.map_unchecked(|this| &this.seat) };
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
            let mut state = this.lock.state.lock();
            if seat.is_done() {
                continue;
            }
            if !seat.is_taken() {
                if state.overflows(this.access) && this.kind == Kind::Future && !ahead {
                    drop(state);
                    overflow();
                }
                if (ahead || state.line.is_empty()) && state.admits(this.access) {
                    state.enter(this.access);
                    // R4: it was waited for.
                    if !state.line.is_empty() {
                        this.lock.admit(state);
                    }
                    return Poll::Ready(());
                }
                seat.payload().set((this.access, this.kind.after(this.vain.get())));
            }
            let end = if ahead { End::Head } else { End::Tail };
            // SAFETY: this line is the seat's only one, its lock is held, and the sleep is not over: looked up above.
            if unsafe { seat.sit(&mut state.line, end, waker, &mut fresh) } {
                return Poll::Pending;
            }
            drop(state);
            fresh = Some(waker.clone());
        }
    }

    /// The time is up. True if the lock is held all the same.
    pub(super) fn give_up(&self) -> bool {
        if !self.seat.is_taken() {
            return false;
        }
        let mut state = self.lock.state.lock();
        // SAFETY: under the lock of its only line.
        let outcome = unsafe { self.seat.leave(&mut state.line) };
        let held = match outcome {
            Some(GRANTED) => true,
            Some(_) if state.admits(self.access) => {
                state.enter(self.access);
                true
            }
            _ => false,
        };
        // R2, R4: those behind it may be able to go in now.
        self.lock.admit(state);
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
