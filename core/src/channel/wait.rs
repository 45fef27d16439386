//! One waiting send or receive, as the state machine that a blocking call and a future both poll.
//!
//! ```text
//!            try: no                 look at the buffer again (C1)
//!   New ───────────────▶ enlist ────────────────────────────────▶ Enlisted ── a peer finished it ──▶ what is in the seat?
//!    ▲                                                                                                 │          │
//!    └─ at the head of the line ────────────────── "look again" (C3) ──────────────────────────────────┘        Over
//! ```
//!
//! * P1  From the first `Pending` until it is over, the wait stays in place; its drop takes it out of the line.
//! * P2  A claimed wait ends by its peer only: whoever gives up waits for a peer that has promised (`Promised`).
//! * P3  A value that lies in the seat of a receive that is dropped goes back to the channel.

use super::{
    buffer::Buffer,
    error::{SendError, TryRecvError, TrySendError},
    lines::{Held, Kind, Seat},
    shared::{Met, Shared},
};
use crate::{
    park::{self, Stopped, Tick, Why},
    queue::{Promised, WaitQueue, Waiter},
    sync::spin,
    turn::Turn,
};
use core::{
    cell::Cell,
    panic::Location,
    task::{Poll, Waker},
};

/// How often somebody looks for a value that is on its way in or out before he lets others run: whoever is about to finish it is
/// then on no CPU.
pub(super) struct Rounds {
    left: u32,
    turn: u32,
}

impl Rounds {
    pub(super) fn new() -> Self {
        Self { left: if cfg!(loom) { 0 } else { 128 }, turn: 0 }
    }

    /// After a look in vain. True if it is time to let others run: then the waker is woken, so that the look is taken up again.
    pub(super) fn are_too_many(&mut self, waker: &Waker) -> bool {
        spin(&mut self.turn);
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        waker.wake_by_ref();
        true
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    /// Told to look again: it keeps its place in the line.
    Again,
    Enlisted,
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Send,
    Receive,
}

impl Side {
    fn line<'q, T>(self, held: &'q mut Held<'_, T>) -> &'q mut WaitQueue<Seat<T>> {
        match self {
            Self::Send => &mut held.senders,
            Self::Receive => &mut held.receivers,
        }
    }
}

pub(super) struct Wait<'a, T, B: Buffer<T> + ?Sized> {
    shared: &'a Shared<T, B>,
    turn: Turn,
    waiter: Waiter<Seat<T>>,
    side: Side,
    stage: Cell<Stage>,
}

// SAFETY: what peers reach of it, turn and waiter, they reach by their protocol; the rest is touched by its owner only,
// who needs `&mut` or the wait itself. The value moves whole.
unsafe impl<T: Send, B: Buffer<T> + Sync + ?Sized> Send for Wait<'_, T, B> {}
// SAFETY: a shared reference to it gives nothing: every method wants the promise of P1 or the wait itself.
unsafe impl<T: Send, B: Buffer<T> + Sync + ?Sized> Sync for Wait<'_, T, B> {}

impl<'a, T, B: Buffer<T> + ?Sized> Wait<'a, T, B> {
    pub(super) fn send(shared: &'a Shared<T, B>, value: T) -> Self {
        Self::new(shared, Side::Send, Seat::new(Kind::Value, Some(value)))
    }

    pub(super) fn receive(shared: &'a Shared<T, B>, kind: Kind) -> Self {
        Self::new(shared, Side::Receive, Seat::new(kind, None))
    }

    fn new(shared: &'a Shared<T, B>, side: Side, seat: Seat<T>) -> Self {
        Self { shared, turn: Turn::new(), waiter: Waiter::unbound(0, seat), side, stage: Cell::new(Stage::New) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage.get() == Stage::Over
    }

    /// When a value will be there that nobody sends, and of which nobody tells.
    #[cfg(feature = "alloc")]
    pub(super) fn ripe_at(&self) -> Option<Tick> {
        self.shared.buffer.ripe_at()
    }

    /// Waits for the value of a select that was chosen and has yet to make it. None if it makes none after all. Not to be
    /// cancelled (P2).
    pub(super) fn for_offer(shared: &'a Shared<T, B>, offer: Promised<Seat<T>>) -> Option<T> {
        let wait = Self::receive(shared, Kind::Value);
        let why = Why {
            what: "receive from a channel",
            object: core::ptr::from_ref(shared).addr(),
            site: Location::caller(),
        };
        let mut promise = Some(offer);
        let _ = park::wait_out(&why, None, &mut |waker| {
            if let Some(offer) = promise.take() {
                // SAFETY: in no line; `wait` stays in place until the turn is done, which is what this waits for.
                unsafe { wait.accept(offer, waker.clone()) };
            }
            if wait.turn.outcome().is_some() { Poll::Ready(()) } else { Poll::Pending }
        });
        wait.stage.set(Stage::Over);
        // SAFETY: done.
        unsafe { wait.waiter.payload.replace(None) }
    }

    /// Tells the select that `offer` stands for that its value is for this wait.
    ///
    /// # Safety
    ///
    /// In no line. P1 holds from now on.
    unsafe fn accept(&self, offer: Promised<Seat<T>>, waker: Waker) {
        // SAFETY: in no line, by the caller.
        unsafe { self.turn.reset_claimed(waker) };
        self.waiter.bind(&self.turn);
        self.stage.set(Stage::Enlisted);
        offer.leave_partner(&self.waiter);
        offer.finish().into_iter().for_each(Waker::wake);
    }

    /// Receives, or stands in line. `Empty` is not among the answers.
    ///
    /// # Safety
    ///
    /// P1.
    #[inline]
    pub(super) unsafe fn poll_recv(&self, waker: &Waker) -> Poll<Result<T, TryRecvError>> {
        // Inlined is what every wait ends with: a peer has left the value.
        if self.is_finished() {
            // SAFETY: done, so the seat is ours (U3).
            if let Some(value) = unsafe { self.waiter.payload.replace(None) } {
                self.stage.set(Stage::Over);
                return Poll::Ready(Ok(value));
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.recv_or_enlist(waker) }
    }

    /// # Safety
    ///
    /// P1.
    #[inline(never)]
    unsafe fn recv_or_enlist(&self, waker: &Waker) -> Poll<Result<T, TryRecvError>> {
        let shared = self.shared;
        let mut rounds = Rounds::new();
        loop {
            if self.stage.get() == Stage::Enlisted {
                if self.turn.outcome().is_none() && !self.look(Side::Receive, waker) {
                    return Poll::Pending;
                }
                // SAFETY: done, so the seat is ours.
                if let Some(value) = unsafe { self.waiter.payload.replace(None) } {
                    self.stage.set(Stage::Over);
                    return Poll::Ready(Ok(value));
                }
                self.stage.set(Stage::Again);
                if rounds.are_too_many(waker) {
                    return Poll::Pending;
                }
            }
            let is_rendezvous = shared.buffer.is_rendezvous();
            // In a rendezvous all is under the lock, but for what was taken back (Z1), which was sent before; that it is closed, the look
            // after the enlisting finds.
            if !is_rendezvous || self.stage.get() != Stage::New || shared.buffer.len() > 0 {
                match shared.try_recv() {
                    Err(TryRecvError::Empty) => {}
                    result => {
                        self.stage.set(Stage::Over);
                        return Poll::Ready(result);
                    }
                }
            }
            let mine = waker.clone(); // foreign code, so before the lock
            let mut held = shared.lines.lock();
            if is_rendezvous {
                match shared.meet_sender(&mut held) {
                    Met::Nobody => {}
                    Met::Value(value, waker) => {
                        self.stage.set(Stage::Over);
                        shared.release(held);
                        waker.into_iter().for_each(Waker::wake);
                        return Poll::Ready(Ok(value));
                    }
                    Met::Offer(offer) => {
                        shared.release(held);
                        // SAFETY: in no line; P1 by the caller.
                        unsafe { self.accept(offer, mine) };
                        continue;
                    }
                }
            }
            // SAFETY: in no line; P1 by the caller.
            unsafe { self.enlist(Side::Receive, held, mine) };
        }
    }

    /// Sends, or stands in line. `Full` is not among the answers.
    ///
    /// # Safety
    ///
    /// P1.
    #[inline]
    pub(super) unsafe fn poll_send(&self, waker: &Waker) -> Poll<Result<(), SendError<T>>> {
        // Inlined, as in `poll_recv`: a peer has taken the value.
        // SAFETY: done, so the seat is ours (U3).
        if self.is_finished() && unsafe { self.waiter.payload.is_empty() } {
            self.stage.set(Stage::Over);
            return Poll::Ready(Ok(()));
        }
        // SAFETY: the caller's promise.
        unsafe { self.send_or_enlist(waker) }
    }

    /// # Safety
    ///
    /// P1.
    #[inline(never)]
    unsafe fn send_or_enlist(&self, waker: &Waker) -> Poll<Result<(), SendError<T>>> {
        let shared = self.shared;
        let mut rounds = Rounds::new();
        loop {
            if self.stage.get() == Stage::Enlisted && self.turn.outcome().is_none() && !self.look(Side::Send, waker) {
                return Poll::Pending;
            }
            // SAFETY: not begun, or done, so the seat is ours.
            let Some(value) = (unsafe { self.waiter.payload.replace(None) }) else {
                self.stage.set(Stage::Over);
                return Poll::Ready(Ok(()));
            };
            if self.stage.get() == Stage::Enlisted {
                self.stage.set(Stage::Again);
                if rounds.are_too_many(waker) {
                    // SAFETY: as above.
                    unsafe { self.waiter.payload.replace(Some(value)) };
                    return Poll::Pending;
                }
            }
            let is_rendezvous = shared.buffer.is_rendezvous();
            // As in `recv_or_enlist`; a sender looks under the lock whether it is closed.
            let value = if is_rendezvous && self.stage.get() == Stage::New {
                value
            } else {
                match shared.try_send(value) {
                    Err(TrySendError::Full(value)) => value,
                    result => {
                        self.stage.set(Stage::Over);
                        return Poll::Ready(result.map_err(|error| SendError(error.into_inner())));
                    }
                }
            };
            let mine = waker.clone(); // foreign code, so before the lock
            let mut held = shared.lines.lock();
            let value = if is_rendezvous {
                match shared.meet_receiver(&mut held, value) {
                    Err(TrySendError::Full(value)) => value,
                    met => {
                        self.stage.set(Stage::Over);
                        shared.release(held);
                        let sent = met.map(|waker| waker.into_iter().for_each(Waker::wake));
                        return Poll::Ready(sent.map_err(|error| SendError(error.into_inner())));
                    }
                }
            } else {
                value
            };
            // SAFETY: in no line, so the seat is ours.
            unsafe { self.waiter.payload.replace(Some(value)) };
            // SAFETY: in no line; P1 by the caller.
            unsafe { self.enlist(Side::Send, held, mine) };
        }
    }

    /// Whether a peer has ended the wait, which has not looked yet.
    fn is_finished(&self) -> bool {
        self.stage.get() == Stage::Enlisted && self.turn.outcome().is_some()
    }

    /// `side` is its own, here and below: known where this is inlined.
    ///
    /// # Safety
    ///
    /// In no line; P1 holds from now on.
    #[inline(always)]
    unsafe fn enlist(&self, side: Side, mut held: Held<'_, T>, waker: Waker) {
        // SAFETY: U1: the turn's only node is in no line.
        unsafe {
            self.turn.reset();
            self.turn.arm(waker);
        }
        self.waiter.bind(&self.turn);
        let line = side.line(&mut held);
        // SAFETY: in no line, and by P1 it and the turn stay until they are done or taken out.
        unsafe {
            match self.stage.get() {
                Stage::Again => line.push_front(&self.waiter),
                _ => line.push_back(&self.waiter),
            }
        }
        self.stage.set(Stage::Enlisted);
        self.shared.release_with_news(held);
    }

    /// The look after the enlisting (C1): settles while there seems to be something to do. True once a peer, or the settling,
    /// has ended the wait.
    #[inline(always)]
    fn look(&self, side: Side, waker: &Waker) -> bool {
        let mut rounds = Rounds::new();
        loop {
            let promising = match side {
                Side::Send => self.shared.buffer.may_push(),
                Side::Receive => self.shared.buffer.may_pop(),
            };
            if promising {
                self.shared.settle();
            }
            if self.turn.outcome().is_some() {
                return true;
            }
            if !promising || rounds.are_too_many(waker) {
                return false;
            }
        }
    }

    /// A future may be polled by another task than before: the news is to go to the last one. Before the first poll, and once
    /// there are news, there is nothing to do.
    pub(super) fn update_waker(&self, waker: &Waker) {
        if self.stage.get() != Stage::Enlisted || self.turn.outcome().is_some() {
            return;
        }
        let mut waker = waker.clone();
        let mut held = self.shared.lines.lock();
        // SAFETY: the lock of the only line it is in is held, so nobody claims it meanwhile.
        let waits = self.side.line(&mut held).contains(&self.waiter) && unsafe { self.turn.swap_waker(&mut waker) };
        self.shared.release(held);
        if !waits && self.turn.outcome().is_none() {
            waker.wake(); // promised, and the peer has the old one: this task has to ask again
        }
    }

    /// Ends the wait, and returns what is in the seat: what a receive got after all, what a send could not send.
    pub(super) fn end(&self) -> Option<T> {
        if self.stage.replace(Stage::Over) == Stage::Enlisted {
            let mut held = self.shared.lines.lock();
            // SAFETY: it is in this line if in any.
            let withdrawn = unsafe { self.side.line(&mut held).remove(&self.waiter) };
            self.shared.release(held);
            if !withdrawn {
                park::wait_while_claimed(&self.turn); // P2
            }
        }
        // SAFETY: out of the line, and nobody has a promise to keep, so the seat is ours.
        unsafe { self.waiter.payload.replace(None) }
    }
}

impl<T, B: Buffer<T> + ?Sized> Drop for Wait<'_, T, B> {
    fn drop(&mut self) {
        if self.stage.get() != Stage::Enlisted {
            return;
        }
        let left = self.end();
        match (self.side, left) {
            (Side::Receive, Some(value)) => self.shared.buffer.take_back(value), // P3
            (Side::Send, Some(value)) => drop(value),
            _ => {}
        }
        // C5: it may have been told of something that others can use.
        self.shared.pass_on();
    }
}

impl<T, B: Buffer<T> + ?Sized> Shared<T, B> {
    #[cold]
    #[inline(never)]
    fn send_after_pause(&self, value: T) -> Result<(), TrySendError<T>> {
        let sent = self.try_send(value);
        self.pauses.0.ended(!matches!(sent, Err(TrySendError::Full(_))));
        sent
    }

    #[cold]
    #[inline(never)]
    fn recv_after_pause(&self) -> Result<T, TryRecvError> {
        let received = self.try_recv();
        self.pauses.1.ended(!matches!(received, Err(TryRecvError::Empty)));
        received
    }

    /// Waits for room; if there is no end to that, after a pause, where that has helped. `Full` gives the value back when the time
    /// is up.
    ///
    /// The program calls this, and this the runtime, with nothing in between: where a runtime goes from one task to another, each
    /// return out of a function that the other one did not call takes the processor by surprise, for some 5 ns.
    #[inline(never)]
    pub(super) fn send_wait(
        &self,
        mut value: T,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Result<(), TrySendError<T>> {
        if deadline.is_none() && self.pauses.0.take(|| self.buffer.capacity()) {
            match self.send_after_pause(value) {
                Err(TrySendError::Full(back)) => value = back,
                over => return over,
            }
        }
        let wait = Wait::send(self, value);
        let why = Why::new("send on a channel", self, site);
        let mut result = Poll::Pending;
        let ended = park::wait_or_stop(&why, deadline, &mut |waker| {
            // SAFETY: `wait` is a local that stays where it is until it is dropped.
            result = unsafe { wait.poll_send(waker) };
            if result.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        match result {
            Poll::Ready(result) => result.map_err(TrySendError::from),
            Poll::Pending => {
                let sent = wait.end().map_or(Ok(()), |value| {
                    // Told to look at the last moment: there may be room.
                    self.try_send(value).inspect_err(|_| self.pass_on())
                });
                if sent.is_err() && ended == Err(Stopped::Cancelled) {
                    park::unwind(); // and the value is dropped on the way
                }
                sent
            }
        }
    }

    /// Waits for a value, as `send_wait` does for room. `Empty` when the time is up.
    #[inline(never)]
    pub(super) fn recv_wait(
        &self,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Result<T, TryRecvError> {
        if deadline.is_none() && self.pauses.1.take(|| self.buffer.capacity()) {
            match self.recv_after_pause() {
                Err(TryRecvError::Empty) => {}
                over => return over,
            }
        }
        let why = Why::new("receive from a channel", self, site);
        loop {
            let wait = Wait::receive(self, Kind::Value);
            let ripe = self.buffer.ripe_at();
            let until = ripe.into_iter().chain(deadline).min();
            let mut result = Poll::Pending;
            let ended = park::wait_or_stop(&why, until, &mut |waker| {
                // SAFETY: `wait` is a local that stays where it is until it is dropped.
                result = unsafe { wait.poll_recv(waker) };
                if result.is_ready() { Poll::Ready(()) } else { Poll::Pending }
            });
            if let Poll::Ready(result) = result {
                return result;
            }
            if let Some(value) = wait.end() {
                return Ok(value);
            }
            match self.try_recv() {
                Err(TryRecvError::Empty) if ended == Err(Stopped::Cancelled) => {
                    self.pass_on();
                    park::unwind();
                }
                // Another receiver of the timer's channel was quicker.
                Err(TryRecvError::Empty) if until != deadline => {}
                result => {
                    return result.inspect_err(|_| self.pass_on());
                }
            }
        }
    }
}

/// For the models: a receive that gives up after its first poll, as one that runs out of time does.
#[cfg(all(test, loom))]
pub(super) fn poll_once_and_end<T, B: Buffer<T> + ?Sized>(shared: &Shared<T, B>) -> Option<T> {
    let wait = Wait::receive(shared, Kind::Value);
    // SAFETY: stays in place until it is dropped.
    match unsafe { wait.poll_recv(Waker::noop()) } {
        Poll::Ready(result) => result.ok(),
        Poll::Pending => wait.end(),
    }
}
