//! Waiting for the first of several channel operations.
//!
//! ```text
//!   sort the arms by channel ─▶ lock all ─▶ try, in random order ─▶ one happened: unlock, done
//!                                                 │ none
//!                                                 ▼
//!                         enlist every arm under the same locks ─▶ unlock ─▶ sleep
//!                                                                              │ a peer finished one arm, or time is up
//!                                                                              ▼
//!                                                    take the other arms out, each under its channel's lock
//! ```
//!
//! * S1  All channels of a select are locked at once, in address order, each once. So nobody can claim this select while
//!   it tries its arms: it needs to claim the peer and never itself. Two selects that meet cannot both wait for the other.
//! * S2  The arms share one `Turn`: one peer claims it, one arm happens.
//! * S3  The arms stay enlisted only inside `run_select`, which borrows them all the while.
//!
//! Not one channel after the other: an arm that looks ready while its neighbours are enlisted already would have to be
//! claimed on both sides, and undone when the second claim fails, with wake-ups lost in between.

use super::{
    Receiver, Sender,
    error::{RecvError, SendError, TryRecvError, TrySendError},
    shared::{Channel, Slot, State},
};
use crate::{
    park::{self, Why, random},
    queue::Waiter,
    spin::SpinMutexGuard,
    turn::Turn,
};
use core::{
    cell::Cell,
    panic::Location,
    task::{Poll, Waker},
    time::Duration,
};

/// How long [`run_select`] waits.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Until an arm happens.
    None,
    /// Not at all: there is a `default` arm.
    Zero,
    /// So long: there is a `default(duration)` arm.
    For(Duration),
}

/// One operation of a `select!`.
///
/// # Safety
///
/// `address` tells the channel: two arms whose addresses are equal can use each other's `lock`. An arm that said it is
/// enlisted takes itself out in `withdraw`.
#[doc(hidden)]
pub unsafe trait Arm {
    fn address(&self) -> usize;
    fn number(&mut self, index: usize);
    fn index(&self) -> usize;
    /// Locks the channel and returns what the lock guards.
    fn lock(&mut self) -> *mut ();
    /// # Safety
    ///
    /// `state` comes from the `lock` of an arm with the same address, and that arm is not unlocked before this one was
    /// tried and enlisted.
    unsafe fn attach(&mut self, state: *mut ());
    fn unlock(&mut self);
    /// Does the operation if it can be done now. The waker is a peer's, to be called without locks.
    ///
    /// # Safety
    ///
    /// Attached, and the channel is locked.
    unsafe fn attempt(&mut self) -> Option<Option<Waker>>;
    /// # Safety
    ///
    /// Attached, and the channel is locked. `turn` and the arm stay in place until `withdraw`.
    unsafe fn enlist(&mut self, turn: &Turn);
    /// Leaves the queue, if it is still in it.
    fn withdraw(&mut self);
}

/// What the two kinds of arm have in common.
struct Place<'a, T> {
    channel: &'a Channel<T>,
    index: usize,
    guard: Option<SpinMutexGuard<'a, State<T>>>,
    state: *mut State<T>,
    waiter: Option<Waiter<Slot<T>>>,
}

impl<'a, T> Place<'a, T> {
    fn new(channel: &'a Channel<T>) -> Self {
        Self { channel, index: 0, guard: None, state: core::ptr::null_mut(), waiter: None }
    }

    fn lock(&mut self) -> *mut () {
        let guard = self.guard.insert(self.channel.state.lock());
        core::ptr::from_mut::<State<T>>(&mut **guard).cast()
    }

    /// # Safety
    ///
    /// As for [`Arm::attempt`].
    unsafe fn state(&mut self) -> &mut State<T> {
        // SAFETY: attached, so it points to what the held lock guards.
        unsafe { &mut *self.state }
    }

    /// # Safety
    ///
    /// As for [`Arm::enlist`]; the select is on the side of the channel that `sends` says.
    unsafe fn enlist(&mut self, turn: &Turn, value: Option<T>, sends: bool) {
        let state = self.state;
        let waiter = self.waiter.insert(Waiter::new(turn, self.index, Slot::new(value)));
        // SAFETY: attached and locked.
        let state = unsafe { &mut *state };
        let queue = if sends { &mut state.senders } else { &mut state.receivers };
        // SAFETY: a new waiter is in no queue; the caller keeps arm and turn in place until `withdraw`.
        unsafe { queue.push_back(waiter) };
    }

    /// Takes the waiter out of its queue and returns what is in its slot.
    fn withdraw(&mut self, sends: bool) -> Option<T> {
        let waiter = self.waiter.as_ref()?;
        let mut state = self.channel.state.lock();
        let queue = if sends { &mut state.senders } else { &mut state.receivers };
        // SAFETY: `enlist` put it into this queue.
        unsafe { queue.remove(waiter) };
        drop(state);
        // SAFETY: out of the queue by now, whoever took it out, and under the lock no peer was half-way (U4).
        let value = unsafe { waiter.payload.replace(None) };
        self.waiter = None;
        value
    }
}

/// `recv(rx) -> …`
#[doc(hidden)]
pub struct RecvArm<'a, T> {
    place: Place<'a, T>,
    result: Option<Result<T, RecvError>>,
}

impl<'a, T> RecvArm<'a, T> {
    pub fn new(receiver: &'a Receiver<T>) -> Self {
        Self { place: Place::new(&receiver.channel), result: None }
    }

    /// What was received, if this arm happened: an enlisted arm that came back empty was closed (C4).
    pub fn into_result(self) -> Result<T, RecvError> {
        self.result.unwrap_or(Err(RecvError))
    }
}

// SAFETY: the address is the channel's, so equal addresses mean one channel of one type; `withdraw` removes the waiter.
unsafe impl<T> Arm for RecvArm<'_, T> {
    fn address(&self) -> usize {
        self.place.channel.lock_order()
    }
    fn number(&mut self, index: usize) {
        self.place.index = index;
    }
    fn index(&self) -> usize {
        self.place.index
    }
    fn lock(&mut self) -> *mut () {
        self.place.lock()
    }
    unsafe fn attach(&mut self, state: *mut ()) {
        self.place.state = state.cast();
    }
    fn unlock(&mut self) {
        self.place.guard = None;
    }
    unsafe fn attempt(&mut self) -> Option<Option<Waker>> {
        // SAFETY: the caller's promise.
        match unsafe { self.place.state() }.try_recv() {
            Ok((value, waker)) => {
                self.result = Some(Ok(value));
                Some(waker)
            }
            Err(TryRecvError::Disconnected) => {
                self.result = Some(Err(RecvError));
                Some(None)
            }
            Err(TryRecvError::Empty) => None,
        }
    }
    unsafe fn enlist(&mut self, turn: &Turn) {
        // SAFETY: the caller's promise.
        unsafe { self.place.enlist(turn, None, false) };
    }
    fn withdraw(&mut self) {
        if let Some(value) = self.place.withdraw(false) {
            self.result = Some(Ok(value));
        }
    }
}

/// `send(tx, value) -> …`
#[doc(hidden)]
pub struct SendArm<'a, T> {
    place: Place<'a, T>,
    value: Option<T>,
}

impl<'a, T> SendArm<'a, T> {
    pub fn new(sender: &'a Sender<T>, value: T) -> Self {
        Self { place: Place::new(&sender.channel), value: Some(value) }
    }

    /// Whether it was sent, if this arm happened: a value that is still here met a closed channel (C4).
    pub fn into_result(self) -> Result<(), SendError<T>> {
        self.value.map_or(Ok(()), |value| Err(SendError(value)))
    }
}

// SAFETY: the address is the channel's, so equal addresses mean one channel of one type; `withdraw` removes the waiter.
unsafe impl<T> Arm for SendArm<'_, T> {
    fn address(&self) -> usize {
        self.place.channel.lock_order()
    }
    fn number(&mut self, index: usize) {
        self.place.index = index;
    }
    fn index(&self) -> usize {
        self.place.index
    }
    fn lock(&mut self) -> *mut () {
        self.place.lock()
    }
    unsafe fn attach(&mut self, state: *mut ()) {
        self.place.state = state.cast();
    }
    fn unlock(&mut self) {
        self.place.guard = None;
    }
    unsafe fn attempt(&mut self) -> Option<Option<Waker>> {
        let value = self.value.take()?;
        // SAFETY: the caller's promise.
        match unsafe { self.place.state() }.try_send(value) {
            Ok(waker) => Some(waker),
            Err(TrySendError::Disconnected(value)) => {
                self.value = Some(value);
                Some(None)
            }
            Err(TrySendError::Full(value)) => {
                self.value = Some(value);
                None
            }
        }
    }
    unsafe fn enlist(&mut self, turn: &Turn) {
        let value = self.value.take();
        // SAFETY: the caller's promise.
        unsafe { self.place.enlist(turn, value, true) };
    }
    fn withdraw(&mut self) {
        // A lost arm's value, or one that met the closing of the channel.
        if let Some(value) = self.place.withdraw(true) {
            self.value = Some(value);
        }
    }
}

/// Runs one of `arms` and says which, or none if `limit` ended first. What `select!` calls.
#[doc(hidden)]
#[track_caller]
pub fn run_select(arms: &mut [&mut dyn Arm], limit: Limit) -> Option<usize> {
    let site = Location::caller();
    for (index, arm) in arms.iter_mut().enumerate() {
        arm.number(index);
    }
    let deadline = match limit {
        Limit::None => None,
        Limit::Zero => return pass(arms, None),
        Limit::For(limit) => {
            if let Some(index) = pass(arms, None) {
                return Some(index);
            }
            park::deadline_after(limit)
        }
    };
    let turn = Turn::new();
    let enlisted = Cell::new(false);
    let mut happened = None;
    let mut armed = Enlisted { arms };
    let why = Why { what: "select", object: 0, site };
    let _ = park::wait(&why, deadline, &mut |waker| {
        if !enlisted.replace(true) {
            happened = pass(armed.arms, Some((&turn, waker.clone())));
            return if happened.is_some() { Poll::Ready(()) } else { Poll::Pending };
        }
        if turn.outcome().is_some() { Poll::Ready(()) } else { Poll::Pending }
    });
    armed.withdraw();
    // After the withdrawal: a peer may have been quicker than the clock (U4).
    happened.or_else(|| turn.outcome())
}

/// The arms while they may be enlisted; takes them out also if the hook unwinds.
struct Enlisted<'a, 'b> {
    arms: &'a mut [&'b mut dyn Arm],
}

impl Enlisted<'_, '_> {
    fn withdraw(&mut self) {
        for arm in self.arms.iter_mut() {
            arm.withdraw();
        }
    }
}

impl Drop for Enlisted<'_, '_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// One pass under all locks: tries every arm, and enlists them all if none can happen and `enlist` says so.
fn pass(arms: &mut [&mut dyn Arm], enlist: Option<(&Turn, Waker)>) -> Option<usize> {
    arms.sort_unstable_by_key(|arm| arm.address());
    let (mut last, mut state) = (0, core::ptr::null_mut());
    for arm in arms.iter_mut() {
        if arm.address() != last {
            last = arm.address();
            state = arm.lock();
        }
        // SAFETY: of an arm with this address, which stays locked until the end of this pass.
        unsafe { arm.attach(state) };
    }
    shuffle(arms);
    let mut happened = None;
    for arm in arms.iter_mut() {
        // SAFETY: attached and locked above.
        if let Some(waker) = unsafe { arm.attempt() } {
            happened = Some((arm.index(), waker));
            break;
        }
    }
    if let (None, Some((turn, waker))) = (&happened, enlist) {
        // SAFETY: U1: none of its nodes is in a queue yet.
        unsafe { turn.arm(waker) };
        for arm in arms.iter_mut() {
            // SAFETY: attached and locked; the caller withdraws before arms or turn go.
            unsafe { arm.enlist(turn) };
        }
    }
    for arm in arms.iter_mut() {
        arm.unlock();
    }
    let (index, waker) = happened?;
    if let Some(waker) = waker {
        waker.wake();
    }
    Some(index)
}

/// Every order equally likely, near enough: which of several ready arms happens must not depend on where it stands.
fn shuffle(arms: &mut [&mut dyn Arm]) {
    for last in (1..arms.len()).rev() {
        let chosen = (u64::from(random()) * (last as u64 + 1)) >> 32;
        arms.swap(last, chosen as usize);
    }
}

/// Waits for the first of several channel operations, and runs its arm.
///
/// ```text
/// select! {
///     recv(receiver) -> result => …,       result: Result<T, RecvError>
///     send(sender, value) -> result => …,  result: Result<(), SendError<T>>
///     default => …,                        if nothing can happen now
///     default(duration) => …,              if nothing has happened for so long
/// }
/// ```
///
/// If several can happen, one is chosen at random. An operation on a closed channel can happen: its result says so. All
/// expressions are evaluated once, on entry, as in Go; the value of a `send` that is not chosen is dropped. There is at
/// most one `default`, and it stands last. With neither arms nor default it waits for ever.
///
/// # Cost
///
/// One short lock for each channel, a second one if it has to wait. No allocation.
///
/// # Examples
///
/// ```
/// use greenlight_core::{channel::unbounded, select};
/// use std::time::Duration;
///
/// let (tx, numbers) = unbounded();
/// let (_words_tx, words) = unbounded::<&str>();
/// tx.send(7).unwrap();
/// let got = select! {
///     recv(numbers) -> number => number.unwrap(),
///     recv(words) -> _ => unreachable!(),
///     default(Duration::from_secs(1)) => unreachable!(),
/// };
/// assert_eq!(got, 7);
/// ```
#[macro_export]
macro_rules! select {
    // Everything was read: `binds` are the `let`s, `arms` the variables, `cases` the match arms.
    (@run ($limit:expr) ($($default:tt)*) [$($bind:tt)*] [$($arm:ident)*] [$(($index:expr, $result:ident, $pattern:pat, $body:expr))*]) => {{
        $($bind)*
        let chosen = $crate::channel::run_select(
            &mut [$(&mut $arm as &mut dyn $crate::channel::Arm),*],
            $limit,
        );
        // The arms end here, and with them their borrows: a body may assign to the variables they used.
        $(let $arm = $arm.into_result();)*
        match chosen {
            $(::core::option::Option::Some(index) if index == $index => {
                let $pattern = $result;
                $body
            })*
            _ => $($default)*,
        }
    }};

    // The default arms.
    (@read ($n:expr) $binds:tt $arms:tt $cases:tt default => $body:expr $(,)?) => {
        $crate::select!(@run ($crate::channel::Limit::Zero) ($body) $binds $arms $cases)
    };
    (@read ($n:expr) $binds:tt $arms:tt $cases:tt default() => $body:expr $(,)?) => {
        $crate::select!(@run ($crate::channel::Limit::Zero) ($body) $binds $arms $cases)
    };
    (@read ($n:expr) $binds:tt $arms:tt $cases:tt default($limit:expr) => $body:expr $(,)?) => {
        $crate::select!(@run ($crate::channel::Limit::For($limit)) ($body) $binds $arms $cases)
    };
    (@read ($n:expr) $binds:tt $arms:tt $cases:tt) => {
        $crate::select!(@run ($crate::channel::Limit::None) (::core::unreachable!()) $binds $arms $cases)
    };

    // An operation whose body is a block, with or without a comma; then one whose body is an expression.
    (@read ($n:expr) [$($binds:tt)*] [$($arms:tt)*] [$($cases:tt)*] recv($rx:expr) -> $pattern:pat => $body:block $(, $($rest:tt)*)?) => {
        $crate::select!(@read ($n + 1)
            [$($binds)* let receiver = &$rx; let mut arm = $crate::channel::RecvArm::new(receiver);]
            [$($arms)* arm] [$($cases)* ($n, arm, $pattern, $body)] $($($rest)*)?)
    };
    (@read ($n:expr) [$($binds:tt)*] [$($arms:tt)*] [$($cases:tt)*] recv($rx:expr) -> $pattern:pat => $body:block $($rest:tt)*) => {
        $crate::select!(@read ($n + 1)
            [$($binds)* let receiver = &$rx; let mut arm = $crate::channel::RecvArm::new(receiver);]
            [$($arms)* arm] [$($cases)* ($n, arm, $pattern, $body)] $($rest)*)
    };
    (@read ($n:expr) [$($binds:tt)*] [$($arms:tt)*] [$($cases:tt)*] recv($rx:expr) -> $pattern:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::select!(@read ($n + 1)
            [$($binds)* let receiver = &$rx; let mut arm = $crate::channel::RecvArm::new(receiver);]
            [$($arms)* arm] [$($cases)* ($n, arm, $pattern, $body)] $($($rest)*)?)
    };
    (@read ($n:expr) [$($binds:tt)*] [$($arms:tt)*] [$($cases:tt)*] send($tx:expr, $value:expr) -> $pattern:pat => $body:block $(, $($rest:tt)*)?) => {
        $crate::select!(@read ($n + 1)
            [$($binds)* let sender = &$tx; let mut arm = $crate::channel::SendArm::new(sender, $value);]
            [$($arms)* arm] [$($cases)* ($n, arm, $pattern, $body)] $($($rest)*)?)
    };
    (@read ($n:expr) [$($binds:tt)*] [$($arms:tt)*] [$($cases:tt)*] send($tx:expr, $value:expr) -> $pattern:pat => $body:block $($rest:tt)*) => {
        $crate::select!(@read ($n + 1)
            [$($binds)* let sender = &$tx; let mut arm = $crate::channel::SendArm::new(sender, $value);]
            [$($arms)* arm] [$($cases)* ($n, arm, $pattern, $body)] $($rest)*)
    };
    (@read ($n:expr) [$($binds:tt)*] [$($arms:tt)*] [$($cases:tt)*] send($tx:expr, $value:expr) -> $pattern:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::select!(@read ($n + 1)
            [$($binds)* let sender = &$tx; let mut arm = $crate::channel::SendArm::new(sender, $value);]
            [$($arms)* arm] [$($cases)* ($n, arm, $pattern, $body)] $($($rest)*)?)
    };
    (@read $($rest:tt)*) => {
        ::core::compile_error!("select!: expected `recv(rx) -> pattern => …`, `send(tx, value) -> pattern => …`, or a last `default => …` or `default(duration) => …`")
    };

    ($($arms:tt)*) => {
        $crate::select!(@read (0usize) [] [] [] $($arms)*)
    };
}
