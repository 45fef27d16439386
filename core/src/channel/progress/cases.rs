//! The operations in which a thread stops, and what it finds there.

use super::{Hands, Kind, Token};
use crate::{select_biased, sync::steps};
use core::{
    future::Future,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering::*},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{sync::Arc, task::Wake, thread, vec::Vec};

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) operation: fn(&mut Hands),
    /// The kinds that have it.
    pub(super) on: fn(&Kind) -> bool,
    pub(super) filled: Filled,
    pub(super) holds: Holds,
    pub(super) keeps: Keeps,
    pub(super) helper: Option<Helper>,
    pub(super) closes: bool,
}

/// How many values the operation finds.
pub(super) enum Filled {
    Empty,
    One,
    Full,
}

impl Filled {
    pub(super) fn values(&self, kind: &Kind) -> usize {
        match self {
            Self::Empty => 0,
            Self::One => 1.min(kind.capacity.unwrap_or(1)),
            // Enough for a segment's end, where there is no such thing as full.
            Self::Full => kind.capacity.unwrap_or(35),
        }
    }
}

/// What a stopped thread may have in its hands: the value that it sends, or one that others sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Own,
    Another,
}

/// Which handles the others have no more of.
pub(super) enum Keeps {
    Both,
    LastSender,
    LastReceiver,
}

/// Another thread, which waits when the operation begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    Sends,
    Receives,
}

fn any(_: &Kind) -> bool {
    true
}

fn buffered(kind: &Kind) -> bool {
    !kind.is_rendezvous()
}

fn rendezvous(kind: &Kind) -> bool {
    kind.is_rendezvous()
}

fn limited(kind: &Kind) -> bool {
    !kind.is_unbounded()
}

fn ring(kind: &Kind) -> bool {
    !kind.is_unbounded() && !kind.is_rendezvous()
}

const PLAIN: Case = Case {
    name: "",
    operation: |_| {},
    on: any,
    filled: Filled::Empty,
    holds: Holds::Own,
    keeps: Keeps::Both,
    helper: None,
    closes: false,
};

/// An operation that sends.
const fn sends(name: &'static str, filled: Filled, on: fn(&Kind) -> bool, operation: fn(&mut Hands)) -> Case {
    Case { name, operation, on, filled, ..PLAIN }
}

/// An operation that receives.
const fn receives(name: &'static str, filled: Filled, on: fn(&Kind) -> bool, operation: fn(&mut Hands)) -> Case {
    Case { name, operation, on, filled, holds: Holds::Another, ..PLAIN }
}

impl Case {
    const fn with(self, helper: Helper) -> Self {
        Self { helper: Some(helper), ..self }
    }

    const fn closes(self, keeps: Keeps) -> Self {
        Self { keeps, closes: true, ..self }
    }
}

/// Not here: a `select!` that sends in a rendezvous and stops after it was chosen, by the peer that then waits for its value.
/// That is one of the exceptions.
pub(super) const CASES: &[Case] = &[
    sends("send with room", Filled::Empty, buffered, send),
    sends("send while full", Filled::Full, limited, send),
    sends("send_timeout while full", Filled::Full, limited, send_timeout),
    sends("try_send with room", Filled::Empty, buffered, try_send),
    sends("try_send behind others", Filled::One, any, try_send),
    sends("try_send while full", Filled::Full, any, try_send),
    receives("recv with a value", Filled::One, buffered, recv),
    receives("recv while full", Filled::Full, buffered, recv),
    receives("recv while empty", Filled::Empty, any, recv),
    receives("recv_timeout while empty", Filled::Empty, any, recv_timeout),
    receives("try_recv with a value", Filled::One, buffered, try_recv),
    receives("try_recv while full", Filled::Full, any, try_recv),
    receives("try_recv while empty", Filled::Empty, any, try_recv),
    // Somebody waits.
    sends("send to one who waits", Filled::Empty, any, send).with(Helper::Receives),
    sends("try_send to one who waits", Filled::Empty, any, try_send).with(Helper::Receives),
    receives("recv from one who waits", Filled::Full, limited, recv).with(Helper::Sends),
    receives("try_recv from one who waits", Filled::Full, limited, try_recv).with(Helper::Sends),
    sends("send beside one who waits", Filled::Full, limited, send).with(Helper::Sends),
    receives("recv beside one who waits", Filled::Empty, any, recv).with(Helper::Receives),
    sends("select to one who waits", Filled::Empty, any, select_send).with(Helper::Receives),
    receives("select from one who waits", Filled::Full, limited, select_recv).with(Helper::Sends),
    // Selects.
    receives("select recv with a value", Filled::One, buffered, select_recv),
    receives("select recv while empty", Filled::Empty, any, select_recv),
    receives("select recv, withdrawn", Filled::Empty, any, select_recv_timeout),
    sends("select send with room", Filled::Empty, buffered, select_send),
    sends("select send while full", Filled::Full, ring, select_send),
    sends("select send, withdrawn", Filled::Full, ring, select_send_timeout),
    // Futures.
    sends("send_async with room", Filled::Empty, buffered, send_async_once),
    sends("send_async while full, dropped", Filled::Full, limited, send_async_once),
    sends("send_async while full, woken and dropped", Filled::Full, limited, send_async_woken),
    receives("recv_async with a value", Filled::One, buffered, recv_async_once),
    receives("recv_async while empty, dropped", Filled::Empty, any, recv_async_once),
    receives("recv_async while empty, woken and dropped", Filled::Empty, any, recv_async_woken),
    receives("recv_async from one who waits", Filled::Full, rendezvous, recv_async_once).with(Helper::Sends),
    // Handles.
    sends("clone", Filled::One, any, clone),
    sends("drop of a sender", Filled::One, any, drop_sender),
    sends("drop of a receiver", Filled::One, any, drop_receiver),
    sends("drop of the last sender", Filled::Full, any, drop_sender).closes(Keeps::LastSender),
    sends("drop of the last sender, one waits", Filled::Empty, any, drop_sender)
        .with(Helper::Receives)
        .closes(Keeps::LastSender),
    receives("drop of the last receiver", Filled::Full, any, drop_receiver).closes(Keeps::LastReceiver),
    receives("drop of the last receiver, one waits", Filled::Full, limited, drop_receiver)
        .with(Helper::Sends)
        .closes(Keeps::LastReceiver),
    sends("close", Filled::One, any, close).closes(Keeps::Both),
    sends("close, one waits to receive", Filled::Empty, any, close).with(Helper::Receives).closes(Keeps::Both),
    sends("close, one waits to send", Filled::Full, limited, close).with(Helper::Sends).closes(Keeps::Both),
];

impl Hands {
    fn take_value(&mut self) -> Token {
        self.value.take().expect("an operation sends once")
    }
}

pub(super) fn send(hands: &mut Hands) {
    let value = hands.take_value();
    let sent = hands.tx.as_ref().unwrap().send(value);
    hands.kept.extend(sent.err().map(|error| error.into_inner()));
}

fn send_timeout(hands: &mut Hands) {
    let value = hands.take_value();
    let sent = hands.tx.as_ref().unwrap().send_timeout(value, Duration::ZERO);
    hands.kept.extend(sent.err().map(|error| error.into_inner()));
}

fn try_send(hands: &mut Hands) {
    let value = hands.take_value();
    let sent = hands.tx.as_ref().unwrap().try_send(value);
    hands.kept.extend(sent.err().map(|error| error.into_inner()));
}

pub(super) fn recv(hands: &mut Hands) {
    hands.kept.extend(hands.rx.as_ref().unwrap().recv());
}

fn recv_timeout(hands: &mut Hands) {
    hands.kept.extend(hands.rx.as_ref().unwrap().recv_timeout(Duration::ZERO));
}

fn try_recv(hands: &mut Hands) {
    hands.kept.extend(hands.rx.as_ref().unwrap().try_recv());
}

fn select_recv(hands: &mut Hands) {
    let got = select_biased! {
        recv(hands.other.1) -> got => got,
        recv(hands.rx.as_ref().unwrap()) -> got => got,
    };
    hands.kept.extend(got);
}

fn select_recv_timeout(hands: &mut Hands) {
    select_biased! {
        recv(hands.other.1) -> got => hands.kept.extend(got),
        recv(hands.rx.as_ref().unwrap()) -> got => hands.kept.extend(got),
        default(Duration::ZERO) => {}
    }
}

fn select_send(hands: &mut Hands) {
    let Hands { tx, other, value, .. } = hands;
    let sent = select_biased! {
        recv(other.1) -> _ => Ok(()),
        send(tx.as_ref().unwrap(), value.take().expect("chosen once")) -> sent => sent,
    };
    hands.kept.extend(sent.err().map(|error| error.into_inner()));
}

fn select_send_timeout(hands: &mut Hands) {
    let Hands { tx, other, value, .. } = hands;
    let sent = select_biased! {
        recv(other.1) -> _ => Ok(()),
        send(tx.as_ref().unwrap(), value.take().expect("chosen once")) -> sent => sent,
        default(Duration::ZERO) => Ok(()),
    };
    hands.kept.extend(sent.err().map(|error| error.into_inner()));
}

/// Polls once, and drops.
fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls once, waits for the wake-up, and drops without another look.
fn woken<F: Future>(future: F) -> Option<F::Output> {
    struct Woken(AtomicBool, thread::Thread);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
            self.1.unpark();
        }
    }
    let woken = Arc::new(Woken(AtomicBool::new(false), thread::current()));
    let mut future: Pin<&mut F> = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(&woken.clone().into())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            steps::about_to_wait();
            while !woken.0.load(SeqCst) {
                thread::park();
            }
            None
        }
    }
}

fn send_async_once(hands: &mut Hands) {
    let value = hands.take_value();
    let sent = once(hands.tx.as_ref().unwrap().send_async(value));
    hands.kept.extend(sent.and_then(Result::err).map(|error| error.into_inner()));
}

fn send_async_woken(hands: &mut Hands) {
    let value = hands.take_value();
    let sent = woken(hands.tx.as_ref().unwrap().send_async(value));
    hands.kept.extend(sent.and_then(Result::err).map(|error| error.into_inner()));
}

fn recv_async_once(hands: &mut Hands) {
    let got: Vec<_> = once(hands.rx.as_ref().unwrap().recv_async()).into_iter().flatten().collect();
    hands.kept.extend(got);
}

fn recv_async_woken(hands: &mut Hands) {
    let got: Vec<_> = woken(hands.rx.as_ref().unwrap().recv_async()).into_iter().flatten().collect();
    hands.kept.extend(got);
}

fn clone(hands: &mut Hands) {
    drop((hands.tx.clone(), hands.rx.clone()));
}

fn drop_sender(hands: &mut Hands) {
    hands.tx = None;
}

fn drop_receiver(hands: &mut Hands) {
    hands.rx = None;
}

fn close(hands: &mut Hands) {
    hands.tx.as_ref().unwrap().close();
}
