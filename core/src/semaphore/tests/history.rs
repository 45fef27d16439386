//! Random histories of futures against a model without atomics, turns or wakers: who is ready, who is woken, what is free.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const SLOTS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Polls the future in a slot; a new one for so many permits if there is none.
    Poll(usize, usize),
    /// Drops the future in a slot, and the permits that it brought.
    Drop(usize),
    Try(usize),
    Add(usize),
    Forget(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..SLOTS, 0..4_usize).prop_map(|(slot, permits)| Step::Poll(slot, permits)),
        6 => (0..SLOTS).prop_map(Step::Drop),
        3 => (0..4_usize).prop_map(Step::Try),
        3 => (0..3_usize).prop_map(Step::Add),
        1 => (0..3_usize).prop_map(Step::Forget),
        1 => Just(Step::Close),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    Empty,
    Fresh,
    InLine,
    Called,
    Shut,
    Holds,
    Refused,
}

struct Model {
    free: usize,
    closed: bool,
    line: VecDeque<usize>,
    stages: [Stage; SLOTS],
    yielded: [bool; SLOTS],
    wants: [usize; SLOTS],
    woken: [usize; SLOTS],
}

impl Model {
    fn is_anyone_called(&self) -> bool {
        self.stages.contains(&Stage::Called)
    }

    fn let_go(&mut self) {
        let mut free = self.free;
        while let Some(&first) = self.line.front().filter(|&&first| self.wants[first] <= free) {
            free -= self.wants[first];
            self.line.pop_front();
            self.stages[first] = Stage::Called;
            self.woken[first] += 1;
        }
    }

    fn poll(&mut self, i: usize) {
        let stage = self.stages[i];
        let enough = self.free >= self.wants[i];
        let first = match stage {
            Stage::InLine => self.line.front() == Some(&i),
            Stage::Called => true,
            _ => self.line.is_empty(),
        };
        let yields = matches!(stage, Stage::Fresh | Stage::InLine)
            && !self.yielded[i]
            && self.wants[i] > 0
            && self.is_anyone_called();
        if yields && first && enough && !(stage == Stage::Fresh && self.closed) {
            self.yielded[i] = true;
            self.woken[i] += 1;
            return;
        }
        self.stages[i] = match stage {
            Stage::Shut => Stage::Refused,
            _ if self.closed => Stage::Refused,
            _ if first && enough || self.wants[i] == 0 => Stage::Holds,
            _ => Stage::InLine,
        };
        match self.stages[i] {
            Stage::Holds => {
                self.free -= self.wants[i];
                self.line.retain(|&waiting| waiting != i);
                self.let_go();
            }
            Stage::InLine => {
                match stage {
                    Stage::InLine => {}
                    Stage::Called => self.line.push_front(i),
                    _ => self.line.push_back(i),
                }
                if self.is_anyone_called() {
                    self.let_go();
                }
            }
            _ => {}
        }
    }

    fn drop(&mut self, i: usize) {
        let stage = core::mem::replace(&mut self.stages[i], Stage::Empty);
        self.line.retain(|&waiting| waiting != i);
        match stage {
            Stage::Holds => {
                self.free += self.wants[i];
                self.let_go();
            }
            Stage::InLine | Stage::Called => self.let_go(),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_histories(steps in proptest::collection::vec(step(), 1..80), permits in 0..4_usize) {
        let semaphore = Semaphore::new(permits);
        let mut model = Model {
            free: permits,
            closed: false,
            line: VecDeque::new(),
            stages: [Stage::Empty; SLOTS],
            yielded: [false; SLOTS],
            wants: [0; SLOTS],
            woken: [0; SLOTS],
        };
        let wakers: [_; SLOTS] = core::array::from_fn(|_| Woken::new());
        let mut futures: [Option<Acquire<'_>>; SLOTS] = core::array::from_fn(|_| None);
        let mut held: [Option<SemaphorePermit<'_>>; SLOTS] = core::array::from_fn(|_| None);
        for step in steps {
            match step {
                Step::Poll(i, permits) => {
                    if model.stages[i] == Stage::Empty {
                        futures[i] = Some(Box::pin(semaphore.acquire_async(permits)));
                        (model.stages[i], model.wants[i], model.yielded[i]) = (Stage::Fresh, permits, false);
                    }
                    if matches!(model.stages[i], Stage::Holds | Stage::Refused) {
                        continue;
                    }
                    model.poll(i);
                    let future = futures[i].as_mut().unwrap();
                    let (is, ready) = match poll(future, &wakers[i].1) {
                        Poll::Pending => (None, false),
                        Poll::Ready(Err(AcquireError)) => (Some(Stage::Refused), true),
                        Poll::Ready(Ok(permit)) => {
                            held[i] = Some(permit);
                            (Some(Stage::Holds), true)
                        }
                    };
                    let expected = Some(model.stages[i]).filter(|stage| matches!(stage, Stage::Holds | Stage::Refused));
                    prop_assert_eq!(is, expected, "{}: {:?}", i, model.stages);
                    prop_assert_eq!(future.is_terminated(), ready);
                }
                Step::Drop(i) => {
                    futures[i] = None;
                    held[i] = None;
                    // No permits at all go back without a word.
                    if !(model.stages[i] == Stage::Holds && model.wants[i] == 0) {
                        model.drop(i);
                    }
                    model.stages[i] = Stage::Empty;
                }
                Step::Try(permits) => {
                    let expected = match () {
                        () if model.closed => Err(TryAcquireError::Closed),
                        () if permits == 0 || model.line.is_empty() && model.free >= permits => Ok(permits),
                        () => Err(TryAcquireError::NoPermits),
                    };
                    let got = semaphore.try_acquire(permits).map(|permit| {
                        let permits = permit.permits();
                        permit.forget();
                        permits
                    });
                    prop_assert_eq!(got, expected);
                    model.free -= got.unwrap_or(0);
                    if got == Err(TryAcquireError::NoPermits) {
                        model.let_go();
                    }
                }
                Step::Add(permits) => {
                    semaphore.add_permits(permits);
                    model.free += permits;
                    model.let_go();
                }
                Step::Forget(permits) => {
                    let forgotten = permits.min(model.free);
                    prop_assert_eq!(semaphore.forget_permits(permits), forgotten);
                    model.free -= forgotten;
                }
                Step::Close => {
                    semaphore.close();
                    model.closed = true;
                    for i in model.line.drain(..) {
                        model.stages[i] = Stage::Shut;
                        model.woken[i] += 1;
                    }
                }
            }
            prop_assert_eq!(semaphore.available_permits(), model.free);
            let woken: [_; SLOTS] = core::array::from_fn(|i| wakers[i].0.times());
            prop_assert_eq!(woken, model.woken, "{:?}", model.stages);
        }
        drop((futures, held));
        let line = semaphore.line.lock();
        prop_assert!(line.queue.is_empty() && line.called == 0 && line.threads == 0);
    }
}
