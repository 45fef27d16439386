//! The lock against a sequential model, in random histories.

use super::*;
use crate::rw_lock::slots::Place;
use proptest::prelude::*;
use std::collections::VecDeque;

const WAITERS: usize = 6;
/// The first of them are futures, the others calls polled by hand; the even ones read.
const FUTURES: usize = 3;

fn access(waiter: usize) -> Access {
    if waiter.is_multiple_of(2) { Access::Read } else { Access::Write }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Bias,
    Read,
    Try(Access, bool),
    Barge(Access),
    Leave,
    Downgrade,
    Poll(usize),
    Drop(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Access::Read), Just(Access::Write)];
    prop_oneof![
        1 => Just(Step::Bias),
        2 => Just(Step::Read),
        2 => (kind.clone(), any::<bool>()).prop_map(|(access, nested)| Step::Try(access, nested && access == Access::Read)),
        2 => kind.prop_map(Step::Barge),
        5 => Just(Step::Leave),
        1 => Just(Step::Downgrade),
        10 => (0..WAITERS).prop_map(Step::Poll),
        1 => (0..WAITERS).prop_map(Step::Drop),
        1 => (FUTURES..WAITERS).prop_map(Step::GiveUp),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum At {
    Away,
    InLine,
    Woken,
    Granted,
}

/// What the docs say, with nothing at the same time.
struct Model {
    readers: usize,
    writer: bool,
    line: VecDeque<usize>,
    at: [At; WAITERS],
    vain: [u32; WAITERS],
    wakes: [usize; WAITERS],
}

impl Model {
    fn new() -> Self {
        let (at, vain, wakes) = ([At::Away; WAITERS], [0; WAITERS], [0; WAITERS]);
        Self { readers: 0, writer: false, line: VecDeque::new(), at, vain, wakes }
    }

    fn fits(&self, access: Access) -> bool {
        !self.writer && (access == Access::Read || self.readers == 0)
    }

    fn enter(&mut self, access: Access) {
        match access {
            Access::Read => self.readers += 1,
            Access::Write => self.writer = true,
        }
    }

    fn try_enter(&mut self, access: Access, nested: bool) -> bool {
        let free = (nested || self.line.is_empty()) && self.fits(access);
        if free {
            self.enter(access);
        }
        free
    }

    fn is_impatient(&self, waiter: usize) -> bool {
        waiter >= FUTURES && self.vain[waiter] >= PATIENCE
    }

    /// A call that runs, past the line.
    fn barge(&mut self, access: Access) -> bool {
        let free = self.readers == 0 && !self.writer && !self.line.iter().any(|waiter| self.is_impatient(*waiter));
        let comes_in = free || self.line.is_empty() && self.fits(access);
        if comes_in {
            self.enter(access);
        }
        comes_in
    }

    fn let_go(&mut self) {
        let mut reading = false;
        while let Some(&waiter) = self.line.front().filter(|waiter| self.fits(access(**waiter))) {
            let writes = access(waiter) == Access::Write;
            if reading && writes {
                return;
            }
            self.line.pop_front();
            self.wakes[waiter] += 1;
            if self.is_impatient(waiter) {
                self.at[waiter] = At::Granted;
                self.enter(access(waiter));
            } else {
                self.at[waiter] = At::Woken;
            }
            if waiter >= FUTURES {
                if writes {
                    return;
                }
                reading = true;
            }
        }
    }

    /// R2: who is first in line is kept out by a holder, or a call that was woken sees to it.
    fn nobody_is_forgotten(&self) -> bool {
        let kept_out = self.line.front().is_none_or(|waiter| !self.fits(access(*waiter)));
        kept_out || (FUTURES..WAITERS).any(|call| self.at[call] == At::Woken)
    }

    fn leave(&mut self, access: Access) {
        match access {
            Access::Read => self.readers -= 1,
            Access::Write => self.writer = false,
        }
        if self.readers == 0 {
            self.let_go();
        }
    }

    /// Whether it is in then.
    fn poll(&mut self, waiter: usize) -> bool {
        match mem::replace(&mut self.at[waiter], At::Away) {
            At::Granted => {}
            At::InLine => {
                self.at[waiter] = At::InLine;
                return false;
            }
            before => {
                let ahead = before == At::Woken;
                self.vain[waiter] += u32::from(ahead);
                if !self.try_enter(access(waiter), ahead) {
                    self.at[waiter] = At::InLine;
                    if ahead {
                        self.line.push_front(waiter);
                    } else {
                        self.line.push_back(waiter);
                    }
                    return false;
                }
            }
        }
        self.vain[waiter] = 0;
        true
    }

    fn give_up(&mut self, waiter: usize) -> bool {
        self.vain[waiter] = 0;
        let held = match mem::replace(&mut self.at[waiter], At::Away) {
            At::Away => return false,
            At::InLine => {
                self.line.retain(|other| *other != waiter);
                false
            }
            At::Granted => true,
            At::Woken => self.try_enter(access(waiter), true),
        };
        self.let_go();
        held
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1_000 }))]

    /// Futures and calls, polled, let in, woken, dropped and out of time in every order, and readers in the table and in the word:
    /// the lock, its line and every wake-up are what the model says, which knows no table.
    #[test]
    fn it_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..80)) {
        let lock = RawRwLock::unlocked();
        let mut model = Model::new();
        let wakers: Vec<_> = (0..WAITERS).map(|_| Woken::new()).collect();
        let kind = |waiter| if waiter < FUTURES { Kind::Future } else { Kind::Patient };
        let wait = |waiter| Box::pin(Wait::new(&lock, access(waiter), kind(waiter)));
        // Readers who came in by `read_at_once`, wherever they are counted by now.
        let mut places = Vec::new();
        let mut waits: Vec<_> = (0..WAITERS).map(wait).collect();
        for step in steps {
            // How many hold it that are not on their way out of a sleep: the test holds it for them.
            let granted = |kind| (0..WAITERS).filter(|i| model.at[*i] == At::Granted && access(*i) == kind).count();
            let ours = (model.readers - granted(Access::Read), usize::from(model.writer) - granted(Access::Write));
            match step {
                Step::Bias => lock.begin_bias(),
                Step::Read => {
                    let in_the_word = || lock.try_enter(Access::Read, Manners::InLine).then_some(Place::WORD);
                    let place = lock.read_at_once().or_else(in_the_word);
                    prop_assert_eq!(place.is_some(), model.try_enter(Access::Read, false));
                    places.extend(place);
                }
                Step::Try(access, nested) => {
                    let manners = if nested { Manners::Nested } else { Manners::InLine };
                    prop_assert_eq!(lock.try_enter(access, manners), model.try_enter(access, nested));
                }
                Step::Barge(access) => prop_assert_eq!(lock.barge(access), model.barge(access)),
                Step::Leave if ours == (0, 0) => {}
                Step::Leave => {
                    let access = if ours.0 > 0 { Access::Read } else { Access::Write };
                    let place = if access == Access::Read { places.pop() } else { None };
                    match place {
                        // SAFETY: read, and ours.
                        Some(place) => unsafe { lock.leave_place(place) },
                        // SAFETY: held, and ours.
                        None => unsafe { lock.leave(access) },
                    }
                    model.leave(access);
                }
                Step::Downgrade if ours.1 == 0 => {}
                Step::Downgrade => {
                    // SAFETY: written, and ours.
                    unsafe { lock.downgrade() };
                    (model.writer, model.readers) = (false, 1);
                    model.let_go();
                }
                Step::Poll(i) => {
                    let ready = waits[i].as_ref().poll(&wakers[i].1).is_ready();
                    prop_assert_eq!(ready, model.poll(i));
                    if ready {
                        waits[i] = wait(i);
                    }
                }
                Step::Drop(i) => {
                    waits[i] = wait(i);
                    if model.give_up(i) {
                        model.leave(access(i));
                    }
                }
                Step::GiveUp(i) => {
                    // Whose time is up does not look for readers in the table: a lock that is biased it leaves to them.
                    lock.revoke();
                    prop_assert_eq!(waits[i].give_up(), model.give_up(i));
                    waits[i] = wait(i);
                }
            }
            prop_assert!(model.nobody_is_forgotten());
            let is_read = lock.is_read() || lock.bias.standing() > 0;
            prop_assert_eq!((is_read, lock.is_written()), (model.readers > 0, model.writer));
            for (i, (woken, _)) in wakers.iter().enumerate() {
                prop_assert_eq!(woken.times(), model.wakes[i], "wake-ups of waiter {}", i);
            }
        }
        // SAFETY: readers who are inside. (A place that is not given back is one less in this thread's row, for ever.)
        places.into_iter().for_each(|place| unsafe { lock.leave_place(place) });
        prop_assert_eq!(lock.bias.standing(), 0);
    }
}
