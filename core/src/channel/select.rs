//! Waiting for the first of several operations.
//!
//! ```text
//!   try each arm, in random order ── one can happen ──▶ it is done, or its place is taken: chosen
//!      ▲        │ none
//!      │        ▼
//!      │   ask the futures again, with a waker ── one is ready ──▶ chosen
//!      │        │ none
//!      │        ▼
//!      │   sort by channel ─▶ lock all ─▶ meet who waits in a rendezvous ─▶ enlist every arm ─▶ release all
//!      │                                                                                          │
//!      │        look at the buffers again, sleep ◀────────────────────────────────────────────────┘
//!      │        │ a peer ended it, a future may be ready, or time is up
//!      │        ▼
//!      └── take all arms out ──▶ the peer did the operation: chosen
//!          "look again"
//! ```
//!
//! * S1  All channels of a select are locked at once, in address order, each once. So nobody can claim this select while
//!   it looks for peers: it needs to claim the peer and never itself. Two selects that meet cannot both wait for the other.
//! * S2  The arms share one `Turn`: one peer claims it, one arm happens.
//! * S3  The arms stay enlisted only inside `run`, which borrows them all the while.
//! * S4  A send is chosen before its value exists: what it has then is a token (`arms.rs`), for a place in the buffer, or for a
//!   waiting receiver. The token is redeemed by the value, or given back.
//! * S5  A future (`event.rs`) is polled only while no arm is enlisted: before the others enlist, and after a wake-up once they
//!   have withdrawn. So what it returns cannot come beside what a peer has done.

use super::wait::Rounds;
use crate::{
    park::{self, Stopped, Tick, Why, random},
    queue::Wakers,
    sync::spin,
    turn::{LAST_ARM, Turn},
};
use core::{
    cell::Cell,
    panic::Location,
    task::{Poll, Waker},
    time::Duration,
};

/// How long [`run`] waits.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Until an arm happens.
    None,
    /// Not at all: there is a `default` arm.
    Zero,
    /// So long: there is a `default(duration)` arm.
    For(Duration),
    /// Until this tick.
    Until(Tick),
}

/// What the look of [`Arm::meet`] came to.
pub enum Meeting {
    /// Nobody waits there.
    Nobody,
    /// The operation is done, or has its token.
    Met,
    /// There is somebody, who has to be met the other way: [`Arm::attempt`].
    Again,
}

/// One operation of a select.
///
/// # Safety
///
/// `lock_order` tells the object: two arms whose orders are equal can use each other's `lock`. An arm that was enlisted
/// takes itself out in `withdraw`.
pub unsafe trait Arm {
    /// See above.
    fn lock_order(&self) -> usize;
    /// Does the operation, or takes its place, if that needs no wait. In no queue.
    fn attempt(&mut self) -> bool;
    /// A number that changes whenever somebody else does what this arm waits for: an arm that could not happen twice, with the
    /// same number, could not happen all the while.
    fn version(&self) -> usize;
    /// Locks the object and returns what the lock guards.
    fn lock(&mut self) -> *mut ();
    /// Learns what the lock guards.
    ///
    /// # Safety
    ///
    /// `lines` comes from the `lock` of an arm with the same order, and that arm is not released before this one has met and
    /// enlisted.
    unsafe fn attach(&mut self, lines: *mut ());
    /// Does the operation with who waits on the other side.
    ///
    /// # Safety
    ///
    /// Attached and locked.
    unsafe fn meet(&mut self, wakers: &mut Wakers) -> Meeting;
    /// Joins the queue, as arm `index` of `turn`.
    ///
    /// # Safety
    ///
    /// Attached and locked. `turn` and the arm stay in place until `withdraw`.
    unsafe fn enlist(&mut self, turn: &Turn, index: u32);
    /// Gives the lock back, if it was this arm that took it.
    fn release(&mut self);
    /// After the release: does for those who wait what can be done now. True if there was anything.
    fn look(&mut self) -> bool;
    /// Leaves the queue, if it is still in it.
    fn withdraw(&mut self);
    /// A peer ended the sleep by this arm: true if it did the operation, false if it says to look again.
    fn accept(&mut self) -> bool;
    /// This arm was told to look, and the select has ended by another.
    fn pass_on(&mut self);
    /// For a future: asks it, with the waker of this sleep. `Ready` if it has happened. No arm is enlisted.
    fn ask(&mut self, _: &Waker) -> Option<Poll<()>> {
        None
    }
    /// Another arm was chosen: lets go of everything, before the program's code runs.
    fn retire(&mut self) {}
    /// When it will happen by itself.
    fn ripe_at(&self) -> Option<Tick> {
        None
    }
}

/// An arm and its place in the list that the program wrote.
pub(crate) struct Numbered<'a> {
    index: usize,
    arm: &'a mut dyn Arm,
    /// What it was asked last: its version, by a select that does not sleep, or its lock order, by one that does.
    noted: usize,
}

impl<'a> Numbered<'a> {
    pub(crate) fn new(index: usize, arm: &'a mut dyn Arm) -> Self {
        Self { index, arm, noted: 0 }
    }

    pub(crate) fn retire_unless(&mut self, chosen: Option<usize>) {
        if chosen != Some(self.index) {
            self.arm.retire();
        }
    }
}

/// Runs one of `arms` and says which, or none if `limit` ended first. `biased`: of several that can happen, the first.
pub(crate) fn run(
    arms: &mut [Numbered<'_>],
    limit: Limit,
    biased: bool,
    site: &'static Location<'static>,
) -> Option<usize> {
    let mut told = Told { arms, index: None };
    let chosen = choose(&mut told, limit, biased, site);
    if chosen == told.index {
        told.index = None;
    }
    chosen
}

/// The arm that was last told to look passes the news on, if the select ends by another one, or by a panic.
struct Told<'a, 'b> {
    arms: &'a mut [Numbered<'b>],
    index: Option<usize>,
}

impl Told<'_, '_> {
    fn find(&mut self, index: usize) -> &mut dyn Arm {
        let found = self.arms.iter_mut().find(|arm| arm.index == index);
        found.unwrap_or_else(|| unreachable!("arm {index} of a select")).arm
    }

    fn pass_on(&mut self) {
        if let Some(index) = self.index.take() {
            self.find(index).pass_on();
        }
    }
}

impl Drop for Told<'_, '_> {
    fn drop(&mut self) {
        self.pass_on();
    }
}

fn choose(told: &mut Told<'_, '_>, limit: Limit, biased: bool, site: &'static Location<'static>) -> Option<usize> {
    if !matches!(limit, Limit::Zero) {
        park::give_way();
    }
    let mut deadline = None;
    let (mut first, mut turns, mut cancelled) = (true, 0, false);
    loop {
        order(told.arms, biased);
        if let Some(index) = attempt(told.arms) {
            return Some(index);
        }
        if core::mem::take(&mut first) {
            deadline = match limit {
                Limit::None => None,
                Limit::Zero => return attempt_at_one_moment(told.arms),
                Limit::For(limit) => park::deadline_after(limit),
                Limit::Until(tick) => Some(tick),
            };
        } else if cancelled {
            // Nothing that may have to wait is left for the unwinding.
            told.pass_on();
            told.arms.iter_mut().for_each(|arm| arm.retire_unless(None));
            park::unwind();
        } else if deadline.is_some_and(|deadline| park::now() >= deadline) {
            return None;
        }
        told.pass_on();
        let ripe = told.arms.iter().filter_map(|arm| arm.arm.ripe_at()).min();
        let turn = Turn::of_several();
        match sleep(told.arms, &turn, biased, ripe.into_iter().chain(deadline).min(), site) {
            Sleep::Met(index) => return Some(index),
            Sleep::Over => {}
            Sleep::Cancelled => cancelled = true,
        }
        if let Some(index) = ended_by(&turn) {
            if told.find(index).accept() {
                return Some(index);
            }
            told.index = Some(index);
            spin(&mut turns); // what it was told of is on its way, or gone
        }
    }
}

/// The index of the arm by which a peer has ended the sleep.
fn ended_by(turn: &Turn) -> Option<usize> {
    turn.outcome().map(|arm| arm as usize)
}

/// Tries each arm, in the order in which they stand.
fn attempt(arms: &mut [Numbered<'_>]) -> Option<usize> {
    arms.iter_mut().find_map(|arm| {
        arm.noted = arm.arm.version();
        arm.arm.attempt().then_some(arm.index)
    })
}

/// After an `attempt` in which none could happen: none only if there was a moment in which none could, so that a program in
/// which one always can never sees the default arm. Again, until nobody has interfered.
fn attempt_at_one_moment(arms: &mut [Numbered<'_>]) -> Option<usize> {
    let mut quiet = arms.len() < 2;
    while !quiet {
        quiet = true;
        for arm in arms.iter_mut() {
            if arm.arm.attempt() {
                return Some(arm.index);
            }
            let version = arm.arm.version();
            quiet &= core::mem::replace(&mut arm.noted, version) == version;
        }
    }
    None
}

enum Sleep {
    /// Somebody waited on the other side: this arm has happened.
    Met(usize),
    /// A peer has ended it, or the time is up, or there is something to look at.
    Over,
    /// The task is to end, unless an arm can happen.
    Cancelled,
}

fn sleep(
    arms: &mut [Numbered<'_>],
    turn: &Turn,
    biased: bool,
    deadline: Option<Tick>,
    site: &'static Location<'static>,
) -> Sleep {
    let why = Why { what: "select", object: 0, site };
    let stage = Cell::new(None);
    let armed = Enlisted { arms, turn };
    let mut asked = false;
    let ended = park::wait_or_stop(&why, deadline, &mut |waker| {
        match stage.get() {
            None => {
                stage.set(Some(match ask(armed.arms, waker, &mut asked) {
                    Some(index) => Entry::Met(index),
                    None => enlist(armed.arms, turn, waker),
                }));
                order(armed.arms, biased);
            }
            // It may be a future that has woken us: S5.
            Some(_) if asked => return Poll::Ready(()),
            Some(_) => {}
        }
        match stage.get() {
            Some(Entry::Enlisted) if !look(armed.arms, turn, waker) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    });
    drop(armed);
    match stage.get() {
        Some(Entry::Met(index)) => Sleep::Met(index),
        _ if ended == Err(Stopped::Cancelled) => Sleep::Cancelled,
        _ => Sleep::Over,
    }
}

/// Asks the futures, if there are any. The one that has happened.
fn ask(arms: &mut [Numbered<'_>], waker: &Waker, asked: &mut bool) -> Option<usize> {
    arms.iter_mut().find_map(|Numbered { arm, index, .. }| {
        let answer = arm.ask(waker)?;
        *asked = true;
        answer.is_ready().then_some(*index)
    })
}

#[derive(Clone, Copy)]
enum Entry {
    Enlisted,
    Met(usize),
    Again,
}

/// Under all locks: meets somebody, or enlists every arm.
fn enlist(arms: &mut [Numbered<'_>], turn: &Turn, waker: &Waker) -> Entry {
    assert!(arms.len() <= LAST_ARM as usize, "a select of over four billion arms");
    let waker = waker.clone();
    let mut wakers = Wakers::new();
    // Asked once: a sort of many would ask again and again, all over memory.
    arms.iter_mut().for_each(|arm| arm.noted = arm.arm.lock_order());
    // Few arms stay in their order where they are of one channel: who is first in its line.
    arms.sort_unstable_by_key(|arm| arm.noted);
    let (mut last, mut lines) = (0, core::ptr::null_mut());
    for Numbered { arm, noted: order, .. } in arms.iter_mut() {
        if *order != last {
            last = *order;
            lines = arm.lock();
        }
        // SAFETY: of an arm with this order, which stays locked until the releases below.
        unsafe { arm.attach(lines) };
    }
    let mut entry = Entry::Enlisted;
    for Numbered { arm, index, .. } in arms.iter_mut() {
        // SAFETY: attached and locked above.
        match unsafe { arm.meet(&mut wakers) } {
            Meeting::Nobody => continue,
            Meeting::Met => entry = Entry::Met(*index),
            Meeting::Again => entry = Entry::Again,
        }
        break;
    }
    if let Entry::Enlisted = entry {
        // SAFETY: U1: none of its nodes is in a queue yet.
        unsafe { turn.arm(waker) };
        for Numbered { arm, index, .. } in arms.iter_mut() {
            // SAFETY: attached and locked; `Enlisted` withdraws before arms or turn go.
            unsafe { arm.enlist(turn, *index as u32) };
        }
    }
    for Numbered { arm, .. } in arms.iter_mut() {
        arm.release();
    }
    wakers.wake();
    entry
}

/// The look after the enlisting (C1 in `shared.rs`). True once the sleep has ended.
fn look(arms: &mut [Numbered<'_>], turn: &Turn, waker: &Waker) -> bool {
    let mut rounds = Rounds::new();
    loop {
        let mut promising = false;
        for Numbered { arm, .. } in arms.iter_mut() {
            if turn.outcome().is_some() {
                return true;
            }
            promising |= arm.look();
        }
        if turn.outcome().is_some() {
            return true;
        }
        if !promising || rounds.are_too_many(waker) {
            return false;
        }
    }
}

/// The arms while they may be enlisted; takes them out when it is dropped, also if the hook unwinds.
struct Enlisted<'a, 'b> {
    arms: &'a mut [Numbered<'b>],
    turn: &'a Turn,
}

impl Drop for Enlisted<'_, '_> {
    fn drop(&mut self) {
        // Who ended the sleep by an arm took that one out before.
        let ended_by = ended_by(self.turn);
        for Numbered { arm, index, .. } in self.arms.iter_mut() {
            if ended_by != Some(*index) {
                arm.withdraw();
            }
        }
        park::wait_while_claimed(self.turn); // by a peer that promised (U4)
    }
}

/// The order in which the arms are looked at.
fn order(arms: &mut [Numbered<'_>], biased: bool) {
    if biased {
        arms.sort_unstable_by_key(|arm| arm.index);
    } else {
        shuffle(arms);
    }
}

/// Every order equally likely, near enough: which of several ready arms happens must not depend on where it stands.
fn shuffle<T>(arms: &mut [T]) {
    // What a choice leaves of its number, the low half of the product, is a number again. One is enough for all choices of a few arms:
    // 8 have 40,320 orders, of 2^32 numbers.
    let one_is_enough = arms.len() <= 8;
    let mut number = 0;
    for last in (1..arms.len()).rev() {
        if !one_is_enough || last == arms.len() - 1 {
            number = random();
        }
        let product = u64::from(number) * (last as u64 + 1);
        arms.swap(last, (product >> 32) as usize);
        number = product as u32;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::shuffle;
    use std::{collections::HashMap, vec::Vec};

    /// Each order of few arms, and each place of each of many, about as often as any other.
    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut orders = HashMap::new();
        for _ in 0..24_000 {
            let mut arms = [0, 1, 2, 3];
            shuffle(&mut arms);
            *orders.entry(arms).or_insert(0) += 1;
        }
        assert_eq!(orders.len(), 24);
        assert!(orders.values().all(|times| (800..1200).contains(times)), "{orders:?}");

        let mut places = [[0; 12]; 12];
        for _ in 0..12_000 {
            let mut arms: Vec<_> = (0..12).collect();
            shuffle(&mut arms);
            arms.iter().enumerate().for_each(|(place, arm)| places[*arm][place] += 1);
        }
        assert!(places.iter().flatten().all(|times| (800..1200).contains(times)), "{places:?}");
    }
}
