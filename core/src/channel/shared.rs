//! The channel itself: a buffer and two lines of waiters under one short lock, and the two operations that wait.
//!
//! ```text
//!                      ┌──────────── SpinMutex<State> ────────────┐
//!   senders waiting ──▶│ senders: queue   buffer   receivers: queue│◀── receivers waiting
//!                      └───────────────────────────────────────────┘
//! ```
//!
//! * C1  Receivers wait only while the buffer is empty and no sender waits.
//! * C2  Senders wait only while the buffer is full (for capacity 0: always) and no receiver waits.
//! * C3  Once `closed`, nobody waits and nothing enters the buffer; what is in it can still be received.
//! * C4  A sender's slot is full until a peer takes the value; a receiver's is empty until a peer fills it. So after the
//!   turn is done, a full sender's slot, and an empty receiver's, mean that the channel was closed.
//! * C5  Only callers that block wait here: they cannot be dropped half-way, so a value laid in a receiver's slot is a
//!   value received. A waiter that runs out of time looks under the lock whether a peer was quicker.
//!
//! A value goes straight into a waiting receiver. A receiver that takes from a full buffer moves the first waiting
//! sender's value in, so values leave in the order in which their senders came.
//!
//! Not lock-free: while one thread is inside the lock (a few dozen instructions, no user code; for `unbounded` at times
//! an allocation) the others spin. So none of it may be called from an interrupt handler.

use super::error::{TryRecvError, TrySendError};
use crate::{
    park::{self, Tick, Why},
    queue::{WaitQueue, Waiter, Wakers},
    spin::SpinMutex,
    sync::{UnsafeCell, atomic::AtomicUsize},
    turn::Turn,
};
use alloc::collections::VecDeque;
#[cfg(loom)]
use core::sync::atomic::Ordering::*;
use core::{
    cell::Cell,
    mem,
    panic::Location,
    task::{Poll, Waker},
};

/// Where a waiter leaves the value it sends, or finds the one it receives.
pub(super) struct Slot<T>(UnsafeCell<Option<T>>);

// SAFETY: the slot is its owner's until the waiter is in a queue, the claiming peer's until the turn is done, and then
// its owner's again (U1, U2, U3); the value moves whole, so it must be Send and nothing more.
unsafe impl<T: Send> Send for Slot<T> {}

impl<T> Slot<T> {
    pub(super) fn new(value: Option<T>) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// The slot is the caller's: see the `Send` impl.
    pub(super) unsafe fn replace(&self, value: Option<T>) -> Option<T> {
        // SAFETY: the caller's promise.
        self.0.with_mut(|slot| unsafe { mem::replace(&mut *slot, value) })
    }
}

pub(super) struct State<T> {
    buffer: VecDeque<T>,
    /// `usize::MAX` for `unbounded`.
    capacity: usize,
    closed: bool,
    pub(super) senders: WaitQueue<Slot<T>>,
    pub(super) receivers: WaitQueue<Slot<T>>,
}

impl<T> State<T> {
    /// Sends without waiting. The waker is to be called after the lock is given back.
    #[inline]
    pub(super) fn try_send(&mut self, value: T) -> Result<Option<Waker>, TrySendError<T>> {
        if self.closed {
            return Err(TrySendError::Disconnected(value));
        }
        if let Some(receiver) = self.receivers.pop() {
            // SAFETY: claimed by us, not finished.
            unsafe { receiver.payload().replace(Some(value)) };
            return Ok(receiver.finish());
        }
        if self.buffer.len() < self.capacity {
            self.buffer.push_back(value);
            return Ok(None);
        }
        Err(TrySendError::Full(value))
    }

    /// Receives without waiting. The waker is to be called after the lock is given back.
    #[inline]
    pub(super) fn try_recv(&mut self) -> Result<(T, Option<Waker>), TryRecvError> {
        if let Some(value) = self.buffer.pop_front() {
            let Some((sent, waker)) = self.take_from_sender() else { return Ok((value, None)) };
            self.buffer.push_back(sent);
            return Ok((value, waker));
        }
        match self.take_from_sender() {
            Some(taken) => Ok(taken),
            None if self.closed => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// The value of the first waiting sender, whose wait this ends.
    #[inline]
    fn take_from_sender(&mut self) -> Option<(T, Option<Waker>)> {
        let sender = self.senders.pop()?;
        // SAFETY: claimed by us, not finished.
        let sent = unsafe { sender.payload().replace(None) };
        let waker = sender.finish();
        Some((sent.unwrap_or_else(|| unreachable!("a waiting sender's slot is full (C4)")), waker))
    }
}

pub(super) struct Channel<T> {
    /// Where addresses would make a model take another way each time.
    #[cfg(loom)]
    number: usize,
    pub(super) state: SpinMutex<State<T>>,
    /// | operation | order   | pairs with | so that                                                     |
    /// |-----------|---------|------------|-------------------------------------------------------------|
    /// | one more  | Relaxed | nothing    | the new handle is made from a live one                      |
    /// | one less  | AcqRel  | one less   | who closes does so after everything the others did          |
    pub(super) sender_handles: AtomicUsize,
    pub(super) receiver_handles: AtomicUsize,
}

impl<T> Channel<T> {
    pub(super) fn new(capacity: usize, room: usize) -> Self {
        let state = State {
            buffer: VecDeque::with_capacity(room),
            capacity,
            closed: false,
            senders: WaitQueue::new(),
            receivers: WaitQueue::new(),
        };
        Self {
            #[cfg(loom)]
            number: next_number(),
            state: SpinMutex::new(state),
            sender_handles: AtomicUsize::new(1),
            receiver_handles: AtomicUsize::new(1),
        }
    }

    /// Where a select stands it in the order in which it locks (S1 in `select.rs`).
    pub(super) fn lock_order(&self) -> usize {
        #[cfg(loom)]
        return self.number;
        #[cfg(not(loom))]
        core::ptr::from_ref(self).addr()
    }

    /// Closes the channel and wakes all who wait: senders get their values back. False if it was closed.
    pub(super) fn close(&self) -> bool {
        let mut state = self.state.lock();
        if mem::replace(&mut state.closed, true) {
            return false;
        }
        // C3: nobody joins the lines any more, so they only get shorter between the batches.
        loop {
            let mut wakers = Wakers::new();
            while !wakers.is_full() {
                let waker = match state.receivers.pop() {
                    Some(receiver) => receiver.finish(),
                    None => match state.senders.pop() {
                        Some(sender) => sender.finish(),
                        None => {
                            drop(state);
                            wakers.wake();
                            return true;
                        }
                    },
                };
                wakers.push(waker);
            }
            drop(state);
            wakers.wake();
            state = self.state.lock();
        }
    }

    /// Closes the channel and drops what is in it: nobody is left to receive it.
    pub(super) fn discard(&self) {
        self.close();
        let left = mem::take(&mut self.state.lock().buffer);
        drop(left); // user code, outside of the lock
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().buffer.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.state.lock().capacity
    }

    #[inline]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let waker = self.state.lock().try_send(value)?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let (value, waker) = self.state.lock().try_recv()?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(value)
    }

    /// Waits for room. `Full` gives the value back when the time is up.
    #[cold]
    pub(super) fn send_wait(
        &self,
        value: T,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Result<(), TrySendError<T>> {
        let turn = Turn::new();
        let send = Wait::new(self, &turn, Slot::new(Some(value)), Side::Send);
        let why = Why::new("send on a channel", &self.state, site);
        // SAFETY: `send` is a local that stays where it is until it is dropped.
        let timed_out = park::wait(&why, deadline, &mut |waker| unsafe { send.poll(waker) }).is_err();
        let withdrawn = timed_out && send.withdraw();
        match send.into_value() {
            None => Ok(()),
            Some(value) if withdrawn => Err(TrySendError::Full(value)),
            Some(value) => Err(TrySendError::Disconnected(value)),
        }
    }

    /// Waits for a value. `Empty` when the time is up.
    #[cold]
    pub(super) fn recv_wait(
        &self,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Result<T, TryRecvError> {
        let turn = Turn::new();
        let recv = Wait::new(self, &turn, Slot::new(None), Side::Receive);
        let why = Why::new("receive from a channel", &self.state, site);
        // SAFETY: `recv` is a local that stays where it is until it is dropped.
        let timed_out = park::wait(&why, deadline, &mut |waker| unsafe { recv.poll(waker) }).is_err();
        let withdrawn = timed_out && recv.withdraw();
        match recv.into_value() {
            Some(value) => Ok(value),
            None if withdrawn => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Disconnected),
        }
    }
}

#[cfg(loom)]
fn next_number() -> usize {
    static NEXT: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(1);
    NEXT.fetch_add(1, Relaxed)
}

#[derive(Clone, Copy)]
enum Side {
    Send,
    Receive,
}

/// One waiting operation, as the state machine that [`park::wait`] polls.
struct Wait<'a, T> {
    channel: &'a Channel<T>,
    turn: &'a Turn,
    waiter: Waiter<Slot<T>>,
    side: Side,
    enlisted: Cell<bool>,
    withdrawn: Cell<bool>,
}

impl<'a, T> Wait<'a, T> {
    fn new(channel: &'a Channel<T>, turn: &'a Turn, slot: Slot<T>, side: Side) -> Self {
        Self {
            channel,
            turn,
            waiter: Waiter::new(turn, 0, slot),
            side,
            enlisted: Cell::new(false),
            withdrawn: Cell::new(false),
        }
    }

    /// # Safety
    ///
    /// After the first poll, `self` stays in place until it said `Ready` or `withdraw` was called.
    unsafe fn poll(&self, waker: &Waker) -> Poll<()> {
        if self.enlisted.get() {
            return if self.turn.outcome().is_some() { Poll::Ready(()) } else { Poll::Pending };
        }
        let waker = waker.clone();
        let mut state = self.channel.state.lock();
        let slot = &self.waiter.payload;
        // The look again: between the caller's own try and this lock, a peer may have come.
        let peer = match self.side {
            Side::Send => {
                // SAFETY: not in a queue yet, so the slot is ours.
                let unsent = unsafe { slot.replace(None) };
                let Some(value) = unsent else { unreachable!("an unsent value (C4)") };
                match state.try_send(value) {
                    Ok(peer) => Some(peer),
                    Err(back) => {
                        let closed = back.is_disconnected();
                        // SAFETY: as above.
                        unsafe { slot.replace(Some(back.into_inner())) };
                        closed.then_some(None)
                    }
                }
            }
            Side::Receive => match state.try_recv() {
                Ok((value, peer)) => {
                    // SAFETY: as above.
                    unsafe { slot.replace(Some(value)) };
                    Some(peer)
                }
                Err(TryRecvError::Disconnected) => Some(None),
                Err(TryRecvError::Empty) => None,
            },
        };
        if let Some(peer) = peer {
            drop(state);
            if let Some(peer) = peer {
                peer.wake();
            }
            return Poll::Ready(());
        }
        // SAFETY: U1: the turn's only node is in no queue yet.
        unsafe { self.turn.arm(waker) };
        let queue = match self.side {
            Side::Send => &mut state.senders,
            Side::Receive => &mut state.receivers,
        };
        // SAFETY: in no queue, and the caller keeps us in place until the turn is done or `withdraw` took us out.
        unsafe { queue.push_back(&self.waiter) };
        self.enlisted.set(true);
        Poll::Pending
    }

    /// Gives up the wait. False if a peer was quicker: then the operation has happened, or the channel was closed.
    fn withdraw(&self) -> bool {
        if !self.enlisted.get() {
            return self.turn.outcome().is_none();
        }
        let mut state = self.channel.state.lock();
        let queue = match self.side {
            Side::Send => &mut state.senders,
            Side::Receive => &mut state.receivers,
        };
        // SAFETY: this queue is the only one it was ever in. Under its lock the turn is WAITING or DONE (U4).
        self.withdrawn.set(unsafe { queue.remove(&self.waiter) });
        self.withdrawn.get()
    }

    /// What is in the slot at the end (C4).
    fn into_value(self) -> Option<T> {
        debug_assert!(!self.enlisted.get() || self.turn.outcome().is_some() || self.withdrawn.get());
        // SAFETY: out of the queue, so the slot is ours again.
        unsafe { self.waiter.payload.replace(None) }
    }
}

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        // Only an unwinding hook comes here with the node still in its queue.
        if self.enlisted.get() && self.turn.outcome().is_none() && !self.withdrawn.get() {
            self.withdraw();
        }
    }
}

/// For the models: a receive that gives up after its first poll, as one that runs out of time does.
#[cfg(all(test, loom))]
pub(super) mod tests_support {
    use super::*;

    pub(in super::super) fn poll_once_and_withdraw<T>(channel: &Channel<T>) -> Option<T> {
        let turn = Turn::new();
        let recv = Wait::new(channel, &turn, Slot::new(None), Side::Receive);
        // SAFETY: stays in place until it is dropped.
        if unsafe { recv.poll(Waker::noop()) }.is_pending() {
            recv.withdraw();
        }
        recv.into_value()
    }
}
