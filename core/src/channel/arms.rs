//! A select's operations on channels: receive, send, and watch (to say that one of the two would not wait).

use super::{
    buffer::Buffer,
    error::{RecvError, SendError, TryRecvError, TrySendError},
    lines::{Held, Kind, Queues, RECEIVERS, SENDERS, Seat},
    select::{Arm, Meeting},
    shared::{Met, Shared},
};
use crate::{
    park::Tick,
    queue::{Promised, WaitQueue, Waiter, Wakers},
    turn::Turn,
};
use core::task::Waker;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Send,
    Receive,
}

/// What all kinds of arm have in common: the channel, its lock, and the place in one of its lines.
struct Place<'a, T, B: ?Sized> {
    shared: &'a Shared<T, B>,
    side: Side,
    held: Option<Held<'a, T>>,
    lines: *mut Queues<T>,
    waiter: Option<Waiter<Seat<T>>>,
}

impl<'a, T, B: Buffer<T> + ?Sized> Place<'a, T, B> {
    fn new(shared: &'a Shared<T, B>, side: Side) -> Self {
        Self { shared, side, held: None, lines: core::ptr::null_mut(), waiter: None }
    }

    fn version(&self) -> usize {
        match self.side {
            Side::Send => self.shared.buffer.pushes(),
            Side::Receive => self.shared.buffer.pops(),
        }
    }

    fn lock(&mut self) -> *mut () {
        let held = self.held.insert(self.shared.lines.lock());
        core::ptr::from_mut::<Queues<T>>(&mut **held).cast()
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.shared.release_with_news(held);
        }
    }

    /// # Safety
    ///
    /// As for [`Arm::meet`].
    unsafe fn lines<'q>(&self) -> &'q mut Queues<T> {
        // SAFETY: attached, so it points to what the held lock guards.
        unsafe { &mut *self.lines }
    }

    fn line<'q>(&self, lines: &'q mut Queues<T>) -> &'q mut WaitQueue<Seat<T>> {
        match self.side {
            Side::Send => &mut lines.senders,
            Side::Receive => &mut lines.receivers,
        }
    }

    /// # Safety
    ///
    /// As for [`Arm::enlist`].
    unsafe fn enlist(&mut self, turn: &Turn, index: u32, kind: Kind) {
        // SAFETY: attached and locked.
        let lines = unsafe { self.lines() };
        self.waiter = Some(Waiter::new(turn, index, Seat::new(kind, None)));
        let Some(waiter) = &self.waiter else { unreachable!("just made") };
        let line = self.line(lines);
        // SAFETY: a new waiter is in no line; the caller keeps arm and turn in place until `withdraw`.
        unsafe { line.push_back(waiter) };
    }

    /// Whether there is something to do for those who wait in this arm's line.
    fn is_promising(&self) -> bool {
        match self.side {
            Side::Send => self.shared.buffer.may_push(),
            Side::Receive => self.shared.buffer.may_pop(),
        }
    }

    fn look(&self) -> bool {
        let promising = self.is_promising();
        if promising {
            self.shared.settle();
        }
        promising
    }

    fn withdraw(&mut self) {
        let Some(waiter) = &self.waiter else { return };
        let mut held = self.shared.lines.lock();
        // SAFETY: `enlist` put it into this line.
        unsafe { self.line(&mut held).remove(waiter) };
        self.shared.release(held);
    }
}

impl<T, B: ?Sized> Drop for Place<'_, T, B> {
    fn drop(&mut self) {
        debug_assert!(self.held.is_none(), "a select releases its locks");
    }
}

/// `recv(receiver) -> …`
pub struct RecvArm<'a, T, B: Buffer<T> + ?Sized> {
    place: Place<'a, T, B>,
    result: Option<Result<T, RecvError>>,
}

impl<'a, T, B: Buffer<T> + ?Sized> RecvArm<'a, T, B> {
    pub(super) fn new(shared: &'a Shared<T, B>) -> Self {
        Self { place: Place::new(shared, Side::Receive), result: None }
    }

    /// What was received, once this arm was chosen.
    pub(super) fn take(&mut self) -> Option<Result<T, RecvError>> {
        self.result.take()
    }
}

// SAFETY: the order is the channel's, so equal orders mean one channel of one type; `withdraw` removes the waiter.
unsafe impl<T, B: Buffer<T> + ?Sized> Arm for RecvArm<'_, T, B> {
    fn lock_order(&self) -> usize {
        self.place.shared.lock_order()
    }

    fn attempt(&mut self) -> bool {
        self.result = match self.place.shared.try_recv() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
            Err(TryRecvError::Empty) => None,
        };
        self.result.is_some()
    }

    fn version(&self) -> usize {
        self.place.version()
    }

    fn lock(&mut self) -> *mut () {
        self.place.lock()
    }

    unsafe fn attach(&mut self, lines: *mut ()) {
        self.place.lines = lines.cast();
    }

    unsafe fn meet(&mut self, wakers: &mut Wakers) -> Meeting {
        let shared = self.place.shared;
        if !shared.buffer.is_rendezvous() {
            return Meeting::Nobody;
        }
        // SAFETY: the caller's promise.
        let lines = unsafe { self.place.lines() };
        if lines.senders.peek().is_some_and(|sender| sender.kind == Kind::Offer) {
            return Meeting::Again; // its value has to be waited for, without locks
        }
        match shared.meet_sender(lines) {
            Met::Value(value, waker) => {
                wakers.push(waker);
                self.result = Some(Ok(value));
                Meeting::Met
            }
            // Behind one that another channel ended.
            Met::Offer(offer) => {
                wakers.push(offer.finish());
                Meeting::Again
            }
            Met::Nobody => Meeting::Nobody,
        }
    }

    unsafe fn enlist(&mut self, turn: &Turn, index: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.place.enlist(turn, index, Kind::Value) };
    }

    fn release(&mut self) {
        self.place.release();
    }

    fn look(&mut self) -> bool {
        self.place.look()
    }

    fn withdraw(&mut self) {
        self.place.withdraw();
    }

    fn accept(&mut self) -> bool {
        let Some(waiter) = self.place.waiter.take() else { return false };
        // SAFETY: the turn is done and no line has the waiter any more, so the seat is ours.
        self.result = unsafe { waiter.payload.replace(None) }.map(Ok);
        self.result.is_some()
    }

    fn pass_on(&mut self) {
        self.place.shared.pass_on();
    }

    fn ripe_at(&self) -> Option<Tick> {
        self.place.shared.buffer.ripe_at()
    }
}

/// `send(sender, value) -> …`, before the value exists (S4).
pub struct SendArm<'a, T, B: Buffer<T> + ?Sized> {
    place: Place<'a, T, B>,
    token: Token<T, B::Place>,
}

/// What a chosen send has.
enum Token<T, P> {
    None,
    /// The channel is closed.
    Closed,
    /// A place in the buffer.
    Place(P),
    /// A receiver that waits for nobody else.
    Receiver(Promised<Seat<T>>),
}

impl<'a, T, B: Buffer<T> + ?Sized> SendArm<'a, T, B> {
    pub(super) fn new(shared: &'a Shared<T, B>) -> Self {
        Self { place: Place::new(shared, Side::Send), token: Token::None }
    }

    fn take_token(&mut self) -> Token<T, B::Place> {
        core::mem::replace(&mut self.token, Token::None)
    }

    /// Sends `value`, after this arm was chosen.
    pub(super) fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        let shared = self.place.shared;
        match self.take_token() {
            Token::Place(place) => {
                // SAFETY: of this buffer, by `attempt`; the token is taken.
                unsafe { shared.buffer.fill(place, value) }.map_err(SendError)?;
                shared.pushed();
            }
            Token::Receiver(receiver) => {
                // SAFETY: claimed by us, not finished.
                unsafe { receiver.payload().replace(Some(value)) };
                receiver.finish().into_iter().for_each(Waker::wake);
            }
            Token::Closed => return Err(SendError(value)),
            Token::None => unreachable!("a send that was not chosen"),
        }
        Ok(())
    }

    /// Takes a waiting receiver of a rendezvous.
    fn meet_in(&mut self, lines: &mut Queues<T>) -> bool {
        if self.place.shared.buffer.is_closed() {
            self.token = Token::Closed;
            return true;
        }
        let Some(receiver) = self.place.shared.pop_serious(&mut lines.receivers) else { return false };
        self.token = Token::Receiver(receiver);
        true
    }
}

impl<T, B: Buffer<T> + ?Sized> Drop for SendArm<'_, T, B> {
    /// Chosen, and no value came: the receiver looks again, the place is another's.
    fn drop(&mut self) {
        // Chosen by a peer, and the select did not come to see it.
        self.accept();
        match self.take_token() {
            Token::Place(place) => {
                // SAFETY: of this buffer, by `attempt`; the token is taken.
                unsafe { self.place.shared.buffer.give_back(place) };
                self.place.shared.settle();
            }
            Token::Receiver(receiver) => receiver.finish().into_iter().for_each(Waker::wake),
            Token::Closed | Token::None => {}
        }
    }
}

// SAFETY: the order is the channel's, so equal orders mean one channel of one type; `withdraw` removes the waiter.
unsafe impl<T, B: Buffer<T> + ?Sized> Arm for SendArm<'_, T, B> {
    fn lock_order(&self) -> usize {
        self.place.shared.lock_order()
    }

    fn attempt(&mut self) -> bool {
        let shared = self.place.shared;
        self.token = match shared.buffer.reserve() {
            Ok(place) => Token::Place(place),
            Err(TrySendError::Disconnected(())) => Token::Closed,
            Err(TrySendError::Full(())) => {
                if !shared.buffer.is_rendezvous() || shared.lines.hint() & RECEIVERS == 0 {
                    return false;
                }
                let Some(mut held) = shared.lines.lock_patiently() else { return false };
                let met = self.meet_in(&mut held);
                shared.release(held);
                return met;
            }
        };
        true
    }

    fn version(&self) -> usize {
        self.place.version()
    }

    fn lock(&mut self) -> *mut () {
        self.place.lock()
    }

    unsafe fn attach(&mut self, lines: *mut ()) {
        self.place.lines = lines.cast();
    }

    unsafe fn meet(&mut self, _: &mut Wakers) -> Meeting {
        // SAFETY: the caller's promise.
        let lines = unsafe { self.place.lines() };
        if self.place.shared.buffer.is_rendezvous() && self.meet_in(lines) {
            return Meeting::Met;
        }
        Meeting::Nobody
    }

    unsafe fn enlist(&mut self, turn: &Turn, index: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.place.enlist(turn, index, Kind::Offer) };
    }

    fn release(&mut self) {
        self.place.release();
    }

    fn look(&mut self) -> bool {
        self.place.look()
    }

    fn withdraw(&mut self) {
        self.place.withdraw();
    }

    fn accept(&mut self) -> bool {
        let Some(waiter) = self.place.waiter.take() else { return false };
        // SAFETY: ours, out of the line, and no peer has a promise to keep.
        let Some(receiver) = (unsafe { waiter.take_partner() }) else { return false };
        // SAFETY: `Wait::accept` set it: in no line, claimed for us, and there until we are done.
        self.token = Token::Receiver(unsafe { Promised::new(receiver.as_ref()) });
        true
    }

    fn pass_on(&mut self) {
        self.place.shared.pass_on();
    }
}

/// Whether the other kinds would happen, without doing it: for `Select`, which allocates.
#[cfg_attr(not(feature = "alloc"), allow(dead_code))]
pub(super) struct WatchArm<'a, T, B: Buffer<T> + ?Sized>(Place<'a, T, B>);

#[cfg_attr(not(feature = "alloc"), allow(dead_code))]
impl<'a, T, B: Buffer<T> + ?Sized> WatchArm<'a, T, B> {
    pub(super) fn receive(shared: &'a Shared<T, B>) -> Self {
        Self(Place::new(shared, Side::Receive))
    }

    pub(super) fn send(shared: &'a Shared<T, B>) -> Self {
        Self(Place::new(shared, Side::Send))
    }

    /// Whether somebody waits on the other side of a rendezvous.
    fn is_met(&self, lines: &Queues<T>) -> bool {
        let other = match self.0.side {
            Side::Send => &lines.receivers,
            Side::Receive => &lines.senders,
        };
        other.any(|seat| seat.kind != Kind::Look)
    }
}

// SAFETY: the order is the channel's, so equal orders mean one channel of one type; `withdraw` removes the waiter.
unsafe impl<T, B: Buffer<T> + ?Sized> Arm for WatchArm<'_, T, B> {
    fn lock_order(&self) -> usize {
        self.0.shared.lock_order()
    }

    fn attempt(&mut self) -> bool {
        let shared = self.0.shared;
        let opposite = match self.0.side {
            Side::Send => RECEIVERS,
            Side::Receive => SENDERS,
        };
        let happens = match self.0.side {
            Side::Send => shared.buffer.can_push(),
            Side::Receive => {
                let happens = shared.buffer.can_pop();
                shared.pass_on(); // it may have made room
                happens
            }
        };
        if happens {
            return true;
        }
        if !shared.buffer.is_rendezvous() || shared.lines.hint() & opposite == 0 {
            return false;
        }
        let Some(held) = shared.lines.lock_patiently() else { return false };
        let met = self.is_met(&held);
        shared.release(held);
        met
    }

    fn version(&self) -> usize {
        self.0.version()
    }

    fn lock(&mut self) -> *mut () {
        self.0.lock()
    }

    unsafe fn attach(&mut self, lines: *mut ()) {
        self.0.lines = lines.cast();
    }

    unsafe fn meet(&mut self, _: &mut Wakers) -> Meeting {
        // SAFETY: the caller's promise.
        let lines = unsafe { self.0.lines() };
        if self.0.shared.buffer.is_rendezvous() && self.is_met(lines) { Meeting::Met } else { Meeting::Nobody }
    }

    unsafe fn enlist(&mut self, turn: &Turn, index: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.0.enlist(turn, index, Kind::Look) };
    }

    fn release(&mut self) {
        self.0.release();
    }

    fn look(&mut self) -> bool {
        self.0.look()
    }

    fn withdraw(&mut self) {
        self.0.withdraw();
    }

    fn accept(&mut self) -> bool {
        self.0.waiter = None;
        false // it looks for itself
    }

    fn pass_on(&mut self) {
        self.0.shared.pass_on();
    }

    fn ripe_at(&self) -> Option<Tick> {
        self.0.shared.buffer.ripe_at()
    }
}
