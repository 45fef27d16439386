//! Who takes the steps of a schedule: an actor has both halves of both channels, and one future at most.
//!
//! A handle that a future borrows cannot go before the future, here as in Rust: the step that would drop it is skipped.

use super::{
    BTreeSet, BoxFuture, CHANNELS, Clause, Finale, Job, Key, Op, Schedule, Selected, Sent, Stage, Step, Subject, Value,
    payload::{Doing, Ledger, Sending, doing},
};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

pub(super) struct Actor<S: Subject, T: Value> {
    future: Option<Pending<T>>,
    senders: [Option<Arc<S::Sender<T>>>; CHANNELS],
    receivers: [Option<Shared<S::Receiver<T>>>; CHANNELS],
    ledger: Arc<Ledger>,
    panicked: bool,
}

/// A future, and whether somebody called for it.
struct Pending<T> {
    work: Work<T>,
    on: usize,
    /// None until the first poll.
    called: Option<Arc<Called>>,
}

enum Work<T> {
    Send(Key, BoxFuture<'static, Sent<T>>),
    Receive(BoxFuture<'static, Option<T>>),
}

#[derive(Default)]
struct Called(AtomicBool);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A receiver, and a share in it for the future that borrows it.
type Shared<R> = Arc<Counted<R>>;

/// A receiver that the ledger counts.
struct Counted<R> {
    receiver: R,
    on: usize,
    ledger: Arc<Ledger>,
}

impl<R> Counted<R> {
    fn new(receiver: R, on: usize, ledger: &Arc<Ledger>) -> Shared<R> {
        ledger.receiver_comes(on);
        Arc::new(Self { receiver, on, ledger: ledger.clone() })
    }
}

impl<R> Drop for Counted<R> {
    fn drop(&mut self) {
        self.ledger.receiver_goes(self.on);
    }
}

/// The actors of `schedule`, or none if there is no such channel.
pub(super) fn cast<S: Subject, T: Value>(schedule: &Schedule, ledger: &Arc<Ledger>) -> Option<Vec<Actor<S, T>>> {
    let channels = [S::channel::<T>(schedule.capacity)?, S::channel::<T>(schedule.capacity)?];
    let actor = |_| Actor {
        future: None,
        senders: [0, 1].map(|on: usize| Some(Arc::new(channels[on].0.clone()))),
        receivers: [0, 1].map(|on: usize| Some(Counted::new(channels[on].1.clone(), on, ledger))),
        ledger: ledger.clone(),
        panicked: false,
    };
    Some((0..schedule.actors).map(actor).collect())
}

/// Takes the steps of `schedule`, and drops the actors as it says. What the ledger cannot know is returned.
pub(super) fn play<S: Subject, T: Value>(
    schedule: &Schedule,
    mut actors: Vec<Actor<S, T>>,
    ledger: &Ledger,
) -> BTreeSet<Clause> {
    let mut broken = BTreeSet::new();
    if schedule.threads {
        actors = play_on_threads(schedule, actors);
    } else {
        for step in &schedule.steps {
            actors[usize::from(step.actor)].take(step);
        }
    }
    if schedule.finale == Finale::Drain {
        if settle(&mut actors) {
            broken.insert(Clause::Stranded);
        }
        actors.iter_mut().for_each(|actor| actor.guarded(|actor| actor.cancel(false)));
        for on in 0..CHANNELS {
            actors.iter_mut().for_each(|actor| actor.guarded(|actor| actor.drain(on)));
            if actors.iter().any(|actor| actor.receivers[on].is_some()) {
                ledger.drained(on);
            }
        }
    }
    for actor in &mut actors {
        actor.guarded(Actor::leave);
        if actor.panicked {
            broken.insert(Clause::Panicked);
        }
    }
    broken
}

fn play_on_threads<S: Subject, T: Value>(schedule: &Schedule, actors: Vec<Actor<S, T>>) -> Vec<Actor<S, T>> {
    let stage: Stage<Actor<S, T>> = Arc::new(Mutex::default());
    let (arrived, all) = (Arc::new(AtomicUsize::new(0)), actors.len());
    let abandon = schedule.finale == Finale::Abandon;
    let job = |(index, mut actor): (usize, Actor<S, T>)| -> Job {
        let steps = schedule.steps.iter().filter(|step| usize::from(step.actor) == index);
        let steps: Vec<Step> = steps.copied().collect();
        let (stage, arrived) = (stage.clone(), arrived.clone());
        Box::new(move || {
            // Together, if that comes about soon; a barrier would block green threads.
            arrived.fetch_add(1, SeqCst);
            let mut patience = 20_000;
            while arrived.load(SeqCst) < all && patience > 0 {
                patience -= 1;
                std::hint::spin_loop();
            }
            steps.iter().for_each(|step| actor.take(step));
            if abandon {
                actor.guarded(Actor::leave);
            }
            stage.lock().unwrap().push(actor);
        })
    };
    S::concurrently(actors.into_iter().enumerate().map(job).collect());
    let mut stage = stage.lock().unwrap();
    assert_eq!(stage.len(), all, "every actor comes back");
    std::mem::take(&mut *stage)
}

/// Polls whoever was called until nobody is. True if then somebody could go on who was not.
fn settle<S: Subject, T: Value>(actors: &mut [Actor<S, T>]) -> bool {
    let called = |actor: &&mut Actor<S, T>| {
        let called = actor.future.as_ref().and_then(|pending| pending.called.as_ref());
        called.is_some_and(|called| called.0.load(SeqCst))
    };
    while let Some(actor) = actors.iter_mut().find(called) {
        actor.guarded(|actor| actor.poll(false));
    }
    let waits = |actor: &&mut Actor<S, T>| actor.future.as_ref().is_some_and(|pending| pending.called.is_some());
    actors.iter_mut().filter(waits).any(|actor| {
        actor.guarded(|actor| actor.poll(false));
        actor.future.is_none()
    })
}

impl<S: Subject, T: Value> Actor<S, T> {
    fn take(&mut self, step: &Step) {
        self.guarded(|actor| actor.attempt(step.op, usize::from(step.on)));
    }

    /// A panic of the channel's is a finding, not the end.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.panicked = true;
            self.future = None;
        }
    }

    fn attempt(&mut self, op: Op, on: usize) {
        let can = S::ABILITIES;
        match op {
            Op::TrySend => self.send(on, S::try_send),
            Op::SendTimeout(limit) if can.timeouts => {
                self.send(on, |tx, value| S::send_timeout(tx, value, micros(limit)));
            }
            Op::TryRecv => drop(self.receive(on, S::try_recv)),
            Op::RecvTimeout(limit) if can.timeouts => {
                drop(self.receive(on, |rx| S::recv_timeout(rx, micros(limit))));
            }
            Op::SendAsync if S::FUTURES => self.send_async(on),
            Op::RecvAsync if S::FUTURES => self.recv_async(on),
            Op::Poll => self.poll(false),
            Op::PollAnew => self.poll(true),
            Op::Cancel => self.cancel(false),
            Op::CancelByPanic => self.cancel(true),
            Op::RecvAndPanic => {
                let value = self.receive(on, S::try_recv);
                in_panic(|| drop(value));
            }
            Op::PanicBeforeSend => {
                let value: T = self.ledger.create(on);
                in_panic(|| drop(value));
            }
            Op::SelectRecv(limit) if can.select => {
                if let [Some(a), Some(b)] = &self.receivers {
                    let value = S::select_recv(&a.receiver, &b.receiver, micros(limit));
                    self.note_received(value.as_ref());
                }
            }
            Op::SelectSend if can.select => self.select_send(on),
            Op::CloseSender if can.close.is_some() => {
                if let Some(tx) = &self.senders[on] {
                    doing(Doing::Close, || S::close_sender(tx));
                }
            }
            Op::CloseReceiver if can.close.is_some() => {
                if let Some(rx) = &self.receivers[on] {
                    doing(Doing::Close, || S::close_receiver(&rx.receiver));
                }
            }
            Op::CloneBoth => {
                drop(self.senders[on].as_deref().cloned());
                if let Some(rx) = &self.receivers[on] {
                    drop(Counted::new(rx.receiver.clone(), on, &self.ledger));
                }
            }
            Op::DropSender if !self.borrows(on, true) => {
                self.senders[on] = None;
            }
            Op::DropReceiver if !self.borrows(on, false) => {
                self.receivers[on] = None;
            }
            _ => {}
        }
    }

    /// Whether the future borrows this actor's sender, or receiver, of this channel.
    fn borrows(&self, on: usize, sender: bool) -> bool {
        self.future.as_ref().is_some_and(|future| future.on == on && matches!(future.work, Work::Send(..)) == sender)
    }

    fn send(&self, on: usize, send: impl FnOnce(&S::Sender<T>, T) -> Sent<T>) {
        let Some(tx) = &self.senders[on] else { return };
        let value: T = self.ledger.create(on);
        let key = value.key();
        match send(tx, value) {
            Ok(()) => self.ledger.reported(key, Sending::Sent),
            Err(value) => self.note_refused(key, value.as_ref()),
        }
    }

    fn receive(&self, on: usize, receive: impl FnOnce(&S::Receiver<T>) -> Option<T>) -> Option<T> {
        let value = receive(&self.receivers[on].as_ref()?.receiver);
        self.note_received(value.as_ref());
        value
    }

    fn select_send(&self, on: usize) {
        let (Some(tx), Some(rx)) = (&self.senders[on], &self.receivers[1 - on]) else { return };
        let value: T = self.ledger.create(on);
        let key = value.key();
        match doing(Doing::CancelSend(key), || S::select_send(tx, value, &rx.receiver)) {
            Selected::Sent => self.ledger.reported(key, Sending::Sent),
            Selected::Refused(value) => self.note_refused(key, Some(&value)),
            Selected::Received(other) => {
                self.ledger.reported(key, Sending::Cancelled);
                self.note_received(Some(&other));
            }
            Selected::Neither => self.ledger.reported(key, Sending::Cancelled),
        }
    }

    fn send_async(&mut self, on: usize) {
        let (None, Some(tx)) = (&self.future, self.senders[on].clone()) else { return };
        let value: T = self.ledger.create(on);
        let key = value.key();
        let future = begun(async move {
            let sends = S::send_async(&tx, value);
            pause().await;
            sends.await
        });
        self.future = Some(Pending { work: Work::Send(key, future), on, called: None });
    }

    fn recv_async(&mut self, on: usize) {
        let (None, Some(rx)) = (&self.future, self.receivers[on].clone()) else { return };
        let future = begun(async move {
            let receives = S::recv_async(&rx.receiver);
            pause().await;
            receives.await
        });
        self.future = Some(Pending { work: Work::Receive(future), on, called: None });
    }

    fn poll(&mut self, anew: bool) {
        let Some(pending) = &mut self.future else { return };
        let called = match &pending.called {
            Some(called) if !anew => called.clone(),
            _ => pending.called.insert(Arc::default()).clone(),
        };
        called.0.store(false, SeqCst);
        let waker = Waker::from(called);
        let mut context = Context::from_waker(&waker);
        match &mut pending.work {
            Work::Send(key, future) => {
                let (key, Poll::Ready(result)) = (*key, future.as_mut().poll(&mut context)) else { return };
                match result {
                    Ok(()) => self.ledger.reported(key, Sending::Sent),
                    Err(value) => self.note_refused(key, value.as_ref()),
                }
            }
            Work::Receive(future) => {
                let Poll::Ready(value) = future.as_mut().poll(&mut context) else { return };
                self.note_received(value.as_ref());
            }
        }
        self.future = None;
    }

    fn cancel(&mut self, by_panic: bool) {
        let Some(Pending { work, .. }) = self.future.take() else { return };
        let what = match &work {
            Work::Send(key, _) => {
                self.ledger.reported(*key, Sending::Cancelled);
                Doing::CancelSend(*key)
            }
            Work::Receive(_) => Doing::CancelReceive,
        };
        doing(what, || if by_panic { in_panic(|| drop(work)) } else { drop(work) });
    }

    fn drain(&mut self, on: usize) {
        while self.receive(on, S::try_recv).is_some() {}
    }

    /// Drops the actor's future, then its handles.
    fn leave(&mut self) {
        self.cancel(false);
        self.senders = [None, None];
        self.receivers = [None, None];
    }

    fn note_received(&self, value: Option<&T>) {
        if let Some(value) = value {
            self.ledger.received(value);
        }
    }

    fn note_refused(&self, key: Key, value: Option<&T>) {
        self.ledger.reported(key, Sending::Refused);
        if let Some(value) = value {
            assert!(value.key() == key, "another value was given back");
            self.ledger.returned(value);
        }
    }
}

fn micros(limit: u8) -> Duration {
    Duration::from_micros(limit.into())
}

/// Runs `last` while a panic unwinds.
fn in_panic(last: impl FnOnce()) {
    struct OnDrop<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(|last| last());
        }
    }
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _last = OnDrop(Some(last));
        // Without the panic hook, which would print.
        resume_unwind(Box::new("injected"));
    }));
    assert!(unwound.is_err());
}

/// `future` up to its `pause`: it owns the handle and has made the channel's future, which nobody has polled yet.
fn begun<R>(future: impl Future<Output = R> + Send + 'static) -> BoxFuture<'static, R> {
    let mut future: BoxFuture<'static, R> = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    future
}

async fn pause() {
    let mut paused = false;
    poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
