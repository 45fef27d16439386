//! The channel itself: a buffer, two lines of waiters, and the operations that do not wait.
//!
//! ```text
//!   try_send                                                        try_recv
//!      │ nobody waits: push                                   pop: │ nobody waits
//!      ▼                          ┌────────┐                       ▼
//!      ├─────────────────────────▶│ buffer │──────────────────────▶┤
//!      │ receivers wait           └────────┘          senders wait │
//!      ▼                                                           ▼
//!      hand over, or visit ─────▶  lines  ◀──────────────────  visit
//!                         [receivers …] [senders …]
//! ```
//!
//! * C1  Who changes the buffer looks at the lines' flags afterwards and, if somebody waits, visits; who enlists looks at
//!   the buffer after he released the lines, and visits too. By B4 and N3 one of the two sees the other.
//! * C2  A visit *settles*: values go from the buffer to receivers, and from senders into the buffer, in the order of the
//!   lines, until one side has no more to give. So who sleeps has nothing to find.
//! * C3  A finished waiter finds in its seat what became of it: a receiver a value, a sender nothing. A receiver without a
//!   value, and a sender with its value still there, has been told to look again.
//! * C4  In a rendezvous, values pass only under the lock, and never are a receiver and a sender with a value both in line.
//! * C5  A told-to-look-again that does not take what it was told of (it was dropped, its select took another arm) settles
//!   for the others.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
    lines::{DISCARD, Held, Kind, Lines, Queues, RECEIVERS, SENDERS, Seat},
    pause::Pause,
    wait::Wait,
};
use crate::{
    queue::{Claimed, Promised, WaitQueue, Wakers},
    sync::const_unless_loom,
};
use core::{marker::PhantomData, mem, task::Waker};

pub(super) struct Shared<T, B: ?Sized> {
    pub(super) lines: Lines<T>,
    /// Of senders who find no room, and receivers who find nothing.
    pub(super) pauses: (Pause, Pause),
    /// Where addresses would make a model take another way each time.
    #[cfg(loom)]
    number: usize,
    /// The last, so that it may be of any length.
    pub(super) buffer: B,
}

/// What a receiver finds in a rendezvous.
pub(super) enum Met<T> {
    /// With the waker to be called after the release.
    Value(T, Option<Waker>),
    /// A select that sends, and has yet to make its value.
    Offer(Promised<Seat<T>>),
    Nobody,
}

impl<T, B> Shared<T, B> {
    const_unless_loom! {
        pub(super) fn new(buffer: B) -> Self {
            Self {
                lines: Lines::new(),
                pauses: (Pause::new(), Pause::new()),
                #[cfg(loom)]
                number: next_number(),
                buffer,
            }
        }
    }
}

impl<T, B: ?Sized> Shared<T, B> {
    /// Where a select stands it in the order in which it locks (S1 in `select.rs`).
    pub(super) fn lock_order(&self) -> usize {
        #[cfg(loom)]
        return self.number;
        #[cfg(not(loom))]
        core::ptr::from_ref(self).addr()
    }
}

impl<T, B: Buffer<T> + ?Sized> Shared<T, B> {
    #[inline(always)]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.lines.hint() & RECEIVERS != 0 {
            return self.send_past_receivers(value);
        }
        self.buffer.push(value)?;
        self.pushed();
        Ok(())
    }

    #[inline(always)]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.buffer.pop() {
            Ok(value) => {
                self.popped();
                Ok(value)
            }
            Err(TryRecvError::Empty) if self.lines.hint() & SENDERS != 0 => self.recv_past_senders(),
            Err(error) => Err(error),
        }
    }

    /// Something went into the buffer (C1).
    #[inline]
    pub(super) fn pushed(&self) {
        if self.lines.flags() & (RECEIVERS | DISCARD) != 0 {
            self.settle();
        }
    }

    /// Something went out of the buffer (C1).
    #[inline]
    fn popped(&self) {
        if self.lines.flags() & SENDERS != 0 {
            self.settle();
        }
    }

    /// What one waiter was told of, and did not take, may be for another (C5).
    pub(super) fn pass_on(&self) {
        if self.lines.flags() & (RECEIVERS | SENDERS | DISCARD) != 0 {
            self.settle();
        }
    }

    /// Sends where receivers seem to wait: straight into the hands of the first, if nothing stands before it.
    #[inline(never)]
    fn send_past_receivers(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.buffer.is_rendezvous() {
            let Some(mut held) = self.lines.lock_patiently() else { return self.buffer.push(value) };
            let met = self.meet_receiver(&mut held, value);
            self.release(held);
            return met.map(|waker| waker.into_iter().for_each(Waker::wake));
        }
        let Some(mut held) = self.lines.try_lock() else {
            self.buffer.push(value)?;
            self.pushed();
            return Ok(());
        };
        // Values that are there already go first.
        let mut receiver = if self.buffer.may_pop() { None } else { held.receivers.pop() };
        if let Some(first) = receiver.take_if(|first| first.payload().kind == Kind::Value) {
            // SAFETY: claimed by us, not finished.
            unsafe { first.payload().replace(Some(value)) };
            let waker = first.finish();
            self.release(held);
            waker.into_iter().for_each(Waker::wake);
            return Ok(());
        }
        let sent = self.buffer.push(value);
        // One that looks for itself is told of this value, and nobody else is.
        let told = receiver.is_some();
        let waker = receiver.and_then(Claimed::finish);
        self.release(held);
        waker.into_iter().for_each(Waker::wake);
        sent?;
        if !told || self.lines.flags() & DISCARD != 0 {
            self.pushed();
        }
        Ok(())
    }

    /// The first in a line of a rendezvous who does not only watch.
    pub(super) fn pop_serious(&self, line: &mut WaitQueue<Seat<T>>) -> Option<Promised<Seat<T>>> {
        let first = line.pop_if(|seat| seat.kind != Kind::Look)?;
        self.buffer.met();
        Some(first.promise())
    }

    /// Hands `value` to the first waiting receiver of a rendezvous. The waker is to be called after the release.
    #[inline]
    pub(super) fn meet_receiver(&self, lines: &mut Queues<T>, value: T) -> Result<Option<Waker>, TrySendError<T>> {
        if self.buffer.is_closed() {
            return Err(TrySendError::Disconnected(value));
        }
        let Some(receiver) = self.pop_serious(&mut lines.receivers) else { return Err(TrySendError::Full(value)) };
        // SAFETY: claimed by us, not finished.
        unsafe { receiver.payload().replace(Some(value)) };
        Ok(receiver.finish())
    }

    /// Receives where the buffer is empty and senders seem to wait.
    #[inline(never)]
    fn recv_past_senders(&self) -> Result<T, TryRecvError> {
        if !self.buffer.is_rendezvous() {
            self.settle();
            let value = self.buffer.pop()?;
            self.popped();
            return Ok(value);
        }
        let Some(mut held) = self.lines.lock_patiently() else { return self.buffer.pop() };
        match self.meet_sender(&mut held) {
            Met::Value(value, waker) => {
                self.release(held);
                waker.into_iter().for_each(Waker::wake);
                Ok(value)
            }
            Met::Nobody => {
                self.release(held);
                self.buffer.pop()
            }
            Met::Offer(offer) => {
                self.release(held);
                Wait::for_offer(self, offer).map_or_else(|| self.buffer.pop(), Ok)
            }
        }
    }

    /// Takes what the first waiting sender of a rendezvous has.
    #[inline]
    pub(super) fn meet_sender(&self, lines: &mut Queues<T>) -> Met<T> {
        let Some(sender) = self.pop_serious(&mut lines.senders) else { return Met::Nobody };
        if sender.payload().kind == Kind::Offer {
            return Met::Offer(sender);
        }
        // SAFETY: claimed by us, not finished.
        let value = unsafe { sender.payload().replace(None) };
        let Some(value) = value else { unreachable!("a waiting sender's seat is full (C3)") };
        Met::Value(value, sender.finish())
    }

    /// Closes the channel and tells all who wait. False if it was closed.
    pub(super) fn close(&self) -> bool {
        let first = self.buffer.close();
        if first {
            self.pass_on();
        }
        first
    }

    /// Closes the channel and drops what is in it: nobody is left to receive it.
    pub(super) fn discard(&self) {
        self.lines.discard();
        self.close();
        self.drain();
    }

    #[cold]
    fn drain(&self) {
        drain(&self.buffer);
    }

    /// Visits the lines: does all that waiters wait for, or leaves it with who is there (C2).
    #[inline(never)]
    pub(super) fn settle(&self) {
        if self.lines.flags() & DISCARD != 0 {
            self.drain();
        }
        if let Some(held) = self.lines.visit() {
            self.settle_and_release(held);
        }
    }

    /// Gives the lock back, after the work that others left.
    #[inline]
    pub(super) fn release(&self, held: Held<'_, T>) {
        if let Some(held) = held.release() {
            self.settle_and_release(held);
        }
    }

    /// Gives the lock back after enlisting somebody: in a rendezvous, others may watch for that.
    pub(super) fn release_with_news(&self, held: Held<'_, T>) {
        if self.buffer.is_rendezvous() && !held.receivers.is_empty() && !held.senders.is_empty() {
            self.settle_and_release(held);
        } else {
            self.release(held);
        }
    }

    #[inline(never)]
    fn settle_and_release(&self, held: Held<'_, T>) {
        let mut visit = Some(held);
        while visit.is_some() {
            let mut wakers = Wakers::new();
            while let Some(mut held) = visit {
                self.serve(&mut held, &mut wakers);
                visit = held.release();
            }
            // Foreign code, so without the lock. After a full batch there may be more to do.
            let more = wakers.is_full();
            wakers.wake();
            if more {
                visit = self.lines.visit();
            }
        }
    }

    /// All that can be done for those in line, or one batch of it.
    fn serve(&self, lines: &mut Queues<T>, wakers: &mut Wakers) {
        let mut told = Told { values: 0, places: 0 };
        if self.buffer.is_rendezvous() {
            self.tell_watchers(lines, wakers);
        }
        self.serve_receivers(lines, wakers, &mut told);
        // A sender's value may be what a receiver waits for.
        while self.serve_senders(lines, wakers, &mut told) {
            self.serve_receivers(lines, wakers, &mut told);
        }
    }

    /// Who only watches a rendezvous hears of who waits on the other side.
    fn tell_watchers(&self, lines: &mut Queues<T>, wakers: &mut Wakers) {
        let mut tell = |watched: &WaitQueue<Seat<T>>, line: &mut WaitQueue<Seat<T>>| {
            if watched.any(|seat| seat.kind != Kind::Look) {
                while !wakers.is_full() {
                    let Some(watcher) = line.pop_if(|seat| seat.kind == Kind::Look) else { return };
                    wakers.push(watcher.finish());
                }
            }
        };
        tell(&lines.senders, &mut lines.receivers);
        tell(&lines.receivers, &mut lines.senders);
    }

    /// Values, or the news that there are some, go to receivers.
    fn serve_receivers(&self, lines: &mut Queues<T>, wakers: &mut Wakers, told: &mut Told) {
        while !wakers.is_full() && !lines.receivers.is_empty() && self.buffer.may_pop() {
            if told.values > 0 && self.buffer.len() <= told.values && !self.buffer.is_closed() {
                return;
            }
            let Some(receiver) = lines.receivers.pop() else { return };
            let mut hidden = false;
            if receiver.payload().kind == Kind::Value {
                match self.buffer.pop() {
                    // SAFETY: claimed by us, not finished.
                    Ok(value) => drop(unsafe { receiver.payload().replace(Some(value)) }),
                    Err(error) => hidden = error.is_empty(),
                }
            } else {
                told.values += 1;
            }
            wakers.push(receiver.finish());
            if hidden {
                return; // on its way in: this one looks again until it is there, and settles for the others
            }
        }
    }

    /// Senders' values go into the buffer; or the news that there is room, or that the channel is closed, to senders. True
    /// if a value went in.
    fn serve_senders(&self, lines: &mut Queues<T>, wakers: &mut Wakers, told: &mut Told) -> bool {
        let mut moved = false;
        while !wakers.is_full() && self.buffer.may_push() {
            let Some(first) = lines.senders.peek() else { break };
            if first.kind != Kind::Value {
                if self.buffer.capacity().saturating_sub(self.buffer.len()) <= told.places && !self.buffer.is_closed() {
                    break;
                }
                told.places += 1;
            } else {
                // SAFETY: as if claimed: it stands in this line only, so nobody claims it without the lock that we hold.
                let value = unsafe { first.replace(None) };
                let Some(value) = value else { unreachable!("a waiting sender's seat is full (C3)") };
                match self.buffer.push(value) {
                    Ok(()) => moved = true,
                    Err(TrySendError::Full(value)) => {
                        // SAFETY: as above.
                        unsafe { first.replace(Some(value)) };
                        break;
                    }
                    // SAFETY: as above.
                    Err(TrySendError::Disconnected(value)) => drop(unsafe { first.replace(Some(value)) }),
                }
            }
            wakers.push(lines.senders.pop().and_then(Claimed::finish));
        }
        moved
    }
}

/// How many waiters of this visit were told to look, and have not looked yet.
struct Told {
    values: usize,
    places: usize,
}

/// Drops what is in `buffer`. If a value's drop panics, those behind it are leaked: another panic would abort the process.
pub(super) fn drain<T, B: Buffer<T> + ?Sized>(buffer: &B) {
    struct Leak<'a, T, B: Buffer<T> + ?Sized>(&'a B, PhantomData<T>);
    impl<T, B: Buffer<T> + ?Sized> Drop for Leak<'_, T, B> {
        fn drop(&mut self) {
            while take_one(self.0, mem::forget) {}
        }
    }
    let leak = Leak(buffer, PhantomData);
    while take_one(buffer, drop) {}
    mem::forget(leak);
}

/// False if nothing was there. Without a look at the length first, an empty channel of large values would want a large stack.
fn take_one<T, B: Buffer<T> + ?Sized>(buffer: &B, end: fn(T)) -> bool {
    #[inline(never)]
    fn pop<T, B: Buffer<T> + ?Sized>(buffer: &B, end: fn(T)) -> bool {
        buffer.pop().map(end).is_ok()
    }
    buffer.len() > 0 && pop(buffer, end)
}

#[cfg(loom)]
fn next_number() -> usize {
    use crate::sync::plain::{AtomicUsize, Ordering::Relaxed};
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Relaxed)
}
