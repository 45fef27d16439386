//! A channel as simple as can be, and what can be wrong with it: proof that the harness keeps silent about a sound
//! channel, and that each clause of the law can fail.
//!
//! A value goes straight into a waiting receiver's place, so a receiver that is cancelled may hold one: the case
//! that is easy to get wrong.

use greenlight_tests::conservation::*;
use std::{
    collections::VecDeque,
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

struct Toy<const FAULT: u8>;

const SOUND: u8 = 0;
/// Drops the value that a cancelled receive holds.
const LOSES_ON_CANCEL: u8 = 1;
/// Queues every value twice.
const DELIVERS_TWICE: u8 = 2;
/// Forgets what is in the queue at the end.
const LEAKS: u8 = 3;
/// Drops what is received once more.
const DROPS_TWICE: u8 = 4;
/// Drops a refused value.
const DROPS_REFUSED: u8 = 5;
/// Closing empties the queue.
const CLOSE_LOSES: u8 = 6;
/// Tells no sender that there is room.
const WAKES_NOBODY: u8 = 7;
/// Cannot bear to receive from a closed channel.
const PANICS: u8 = 8;

struct State<T> {
    fault: u8,
    capacity: usize,
    queue: VecDeque<T>,
    receivers: VecDeque<Place<T>>,
    senders: Vec<Waker>,
    closed: bool,
    handles: [usize; 2],
    places: u64,
}

/// Where a future waits for its value.
struct Place<T> {
    number: u64,
    value: Option<T>,
    waker: Waker,
}

const SENDERS: usize = 0;
const RECEIVERS: usize = 1;

/// A handle of one side.
struct Half<T, const SIDE: usize>(Arc<Mutex<State<T>>>);

impl<T, const SIDE: usize> Half<T, SIDE> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T, const SIDE: usize> Clone for Half<T, SIDE> {
    fn clone(&self) -> Self {
        self.lock().handles[SIDE] += 1;
        Self(self.0.clone())
    }
}

impl<T, const SIDE: usize> Drop for Half<T, SIDE> {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.handles[SIDE] -= 1;
        if state.handles[SIDE] == 0 {
            state.close();
        }
    }
}

impl<T> State<T> {
    fn close(&mut self) {
        self.closed = true;
        self.receivers.iter().for_each(|place| place.waker.wake_by_ref());
        self.senders.drain(..).for_each(Waker::wake);
    }

    fn room_was_made(&mut self) {
        if self.fault != WAKES_NOBODY {
            self.senders.drain(..).for_each(Waker::wake);
        }
    }

    /// Puts `value` in the first empty place, if there is one.
    fn hand_over(&mut self, value: T) -> Option<T> {
        let Some(place) = self.receivers.iter_mut().find(|place| place.value.is_none()) else { return Some(value) };
        place.value = Some(value);
        place.waker.wake_by_ref();
        None
    }

    fn leave(&mut self, number: u64) -> Option<T> {
        let index = self.receivers.iter().position(|place| place.number == number)?;
        self.receivers.remove(index)?.value
    }
}

impl<T: Value> State<T> {
    fn send(&mut self, value: T) -> Result<(), T> {
        if self.closed {
            return Err(value);
        }
        let Some(value) = self.hand_over(value) else { return Ok(()) };
        if self.queue.len() >= self.capacity {
            return Err(value);
        }
        if self.fault == DELIVERS_TWICE {
            self.queue.push_back(T::new(value.key()));
        }
        self.queue.push_back(value);
        Ok(())
    }

    fn receive(&mut self) -> Option<T> {
        let value = self.queue.pop_front();
        if value.is_some() {
            self.room_was_made();
        } else if self.closed && self.fault == PANICS {
            // Without the panic hook, which would print.
            resume_unwind(Box::new("the toy's fault"));
        }
        value
    }
}

impl<T> Drop for State<T> {
    fn drop(&mut self) {
        if self.fault == LEAKS {
            // The values only, which own nothing: no leak for a sanitizer.
            self.queue.drain(..).for_each(mem::forget);
        }
    }
}

/// What sends.
struct SendFuture<'a, T> {
    tx: &'a Half<T, SENDERS>,
    value: Option<T>,
}

// Nothing in it is pinned.
impl<T> Unpin for SendFuture<'_, T> {}

impl<T: Value> Future for SendFuture<'_, T> {
    type Output = Sent<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Sent<T>> {
        let mut state = self.tx.lock();
        let Err(value) = state.send(self.value.take().expect("not polled after it was ready")) else {
            return Poll::Ready(Ok(()));
        };
        if state.closed {
            return Poll::Ready(Err(Some(value)));
        }
        state.senders.push(context.waker().clone());
        drop(state);
        self.value = Some(value);
        Poll::Pending
    }
}

/// What receives.
struct RecvFuture<'a, T: Value> {
    rx: &'a Half<T, RECEIVERS>,
    place: Option<u64>,
}

impl<T: Value> Future for RecvFuture<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.rx.lock();
        let came = self.place.and_then(|number| state.leave(number)).or_else(|| state.queue.pop_front());
        if came.is_some() || state.closed {
            state.room_was_made();
            drop(state);
            self.place = None;
            return Poll::Ready(came);
        }
        state.places += 1;
        let number = state.places;
        state.receivers.push_back(Place { number, value: None, waker: context.waker().clone() });
        drop(state);
        self.place = Some(number);
        Poll::Pending
    }
}

impl<T: Value> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        let mut state = self.rx.lock();
        let Some(value) = self.place.and_then(|number| state.leave(number)) else { return };
        if state.fault == LOSES_ON_CANCEL {
            return;
        }
        if let Some(value) = state.hand_over(value) {
            state.queue.push_front(value);
        }
    }
}

impl<const FAULT: u8> Subject for Toy<FAULT> {
    type Sender<T: Value> = Half<T, SENDERS>;
    type Receiver<T: Value> = Half<T, RECEIVERS>;

    const FUTURES: bool = true;
    const ABILITIES: Abilities =
        Abilities { timeouts: false, close: Some(Close::Drains), drops_refused: false, select: false };

    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Self::Sender<T>, Self::Receiver<T>)> {
        if capacity == Some(0) {
            return None;
        }
        let state = State {
            fault: FAULT,
            capacity: capacity.unwrap_or(usize::MAX),
            queue: VecDeque::new(),
            receivers: VecDeque::new(),
            senders: Vec::new(),
            closed: false,
            handles: [1, 1],
            places: 0,
        };
        let shared = Arc::new(Mutex::new(state));
        Some((Half(shared.clone()), Half(shared)))
    }

    fn try_send<T: Value>(tx: &Self::Sender<T>, value: T) -> Sent<T> {
        tx.lock().send(value).map_err(|value| if FAULT == DROPS_REFUSED { None } else { Some(value) })
    }

    fn try_recv<T: Value>(rx: &Self::Receiver<T>) -> Option<T> {
        let value = rx.lock().receive()?;
        if FAULT == DROPS_TWICE {
            drop(T::new(value.key()));
        }
        Some(value)
    }

    fn close_sender<T: Value>(tx: &Self::Sender<T>) {
        let mut state = tx.lock();
        state.close();
        if FAULT == CLOSE_LOSES {
            state.queue.clear();
        }
    }

    fn close_receiver<T: Value>(rx: &Self::Receiver<T>) {
        rx.lock().close();
    }

    fn send_async<T: Value>(tx: &Self::Sender<T>, value: T) -> BoxFuture<'_, Sent<T>> {
        Box::pin(SendFuture { tx, value: Some(value) })
    }

    fn recv_async<T: Value>(rx: &Self::Receiver<T>) -> BoxFuture<'_, Option<T>> {
        Box::pin(RecvFuture { rx, place: None })
    }
}

fn found<const FAULT: u8>() -> Vec<Clause> {
    let schedules = Schedule::enumerated().step_by(101).chain((0..1_000).map(Schedule::seeded));
    let findings = examine::<Toy<FAULT>>(schedules.chain((0..30).map(Schedule::seeded_threads)));
    print!("{findings}");
    findings.broken()
}

#[test]
fn nothing_is_found_in_a_sound_toy() {
    examine::<Toy<SOUND>>(Schedule::enumerated().step_by(23)).assert_none();
    examine::<Toy<SOUND>>((0..5_000).map(Schedule::seeded)).assert_none();
    examine::<Toy<SOUND>>((0..100).map(Schedule::seeded_threads)).assert_none();
}

/// And nothing but that clause.
#[test]
fn every_clause_can_fail() {
    assert_eq!(found::<LOSES_ON_CANCEL>(), [LostByCancel]);
    assert_eq!(found::<LEAKS>(), [Leaked]);
    assert_eq!(found::<DROPS_TWICE>(), [DroppedTwice]);
    assert_eq!(found::<DROPS_REFUSED>(), [NotReturned]);
    assert_eq!(found::<CLOSE_LOSES>(), [Lost]);
    assert_eq!(found::<WAKES_NOBODY>(), [Stranded]);
    assert_eq!(found::<PANICS>(), [Panicked]);
    // Two of one value are of course dropped twice.
    assert_eq!(found::<DELIVERS_TWICE>(), [DroppedTwice, Duplicated]);
}

/// The shortest schedule is found, whatever stood around it.
#[test]
fn a_finding_is_shortened() {
    let loses = [(0, Op::RecvAsync), (0, Op::Poll), (1, Op::TrySend), (0, Op::Cancel)];
    let mut long = vec![(1, Op::TrySend), (1, Op::TryRecv), (0, Op::SendAsync), (0, Op::Cancel)];
    long.extend(loses);
    long.extend([(1, Op::TrySend), (1, Op::TryRecv)]);
    let found = examine::<Toy<LOSES_ON_CANCEL>>([Schedule::of(Some(1), &long)]).to_string();
    let shortest = "0:RecvAsync 0:Poll 1:TrySend 0:Cancel Drain";
    assert!(found.contains(shortest), "{found}");
}
