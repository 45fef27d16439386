//! Waiting for a socket without blocking anybody: futures with a place of their own in the line.

use super::{
    Pollable, TcpStream, accept,
    source::{Seen, Side, State},
};
use crate::time::driver::Alarm;
use greenlight_core::Waiting;
use std::{
    fmt,
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::AsFd,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

/// One future's wait for one direction of `P`, which dereferences to what is polled.
pub(super) struct Wait<'a> {
    waiting: Waiting<'a, State>,
    /// In line since then: nothing has happened if the tick is still the same.
    seen: Option<Seen>,
    alarm: Alarm,
    side: Side,
}

impl<'a> Wait<'a> {
    pub(super) fn new<T: AsFd>(io: &Pollable<T>, side: Side) -> Self {
        Self { waiting: io.side(side).waiting(), seen: None, alarm: Alarm::default(), side }
    }

    pub(super) fn poll<T: AsFd, R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        io: &Pollable<T>,
        attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_seeing(cx, io, attempt).map_ok(|(done, _)| done)
    }

    /// The loop of every future. It fails, at the deadline, by trying again. Also what it saw before the attempt that did it.
    fn poll_seeing<T: AsFd, R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        io: &Pollable<T>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<(R, Seen)>> {
        // SAFETY: `waiting` is pinned whenever we are: it is never moved out, there is no `Drop` and no `Unpin` of ours. The
        // other fields are `Unpin`.
        let (mut waiting, seen, alarm, side) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.waiting), &mut this.seen, &mut this.alarm, this.side)
        };
        loop {
            if let Some(before) = *seen {
                let is_over = before.deadline.is_some_and(|end| crate::park::now() >= end);
                let moved =
                    waiting.as_mut().poll(cx.waker(), |state| (state.has_moved(before) || is_over).then_some(()));
                if moved.is_pending() {
                    match before.deadline {
                        Some(end) => alarm.set(end, cx.waker()),
                        None => alarm.clear(),
                    }
                    return Poll::Pending;
                }
            }
            *seen = None;
            let before = io.side(side).begin()?;
            if !before.drained {
                match attempt(io.get_ref()) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    done => return Poll::Ready(done.map(|done| (done, before))),
                }
            }
            io.register()?;
            *seen = Some(before);
        }
    }
}

/// A read of a TCP stream into `room` bytes: it notes that nothing is left (N4). Dropped, it has called `attempt` in vain only.
pub(super) async fn drain<T: AsFd>(
    io: &Pollable<T>,
    room: usize,
    mut attempt: impl FnMut(&T) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut wait = pin!(Wait::new(io, Side::Read));
    let (len, seen) = poll_fn(|cx| wait.as_mut().poll_seeing(cx, io, &mut attempt)).await?;
    io.side(Side::Read).has_read(len, room, seen);
    Ok(len)
}

/// Future of [`Pollable::readable`], [`TcpStream::readable`] and their like. Polled again after it was ready, it waits again.
#[must_use = "a future does nothing until it is polled"]
pub struct Ready<'a, T: AsFd> {
    io: &'a Pollable<T>,
    wait: Wait<'a>,
}

impl<'a, T: AsFd> Ready<'a, T> {
    pub(super) fn new(io: &'a Pollable<T>, side: Side) -> Self {
        Self { io, wait: Wait::new(io, side) }
    }
}

impl<T: AsFd> Future for Ready<'_, T> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.io;
        // SAFETY: `wait` is pinned whenever we are: it is never moved out, there is no `Drop` and no `Unpin` of ours.
        let wait = unsafe { self.map_unchecked_mut(|this| &mut this.wait) };
        let side = wait.side;
        wait.poll(cx, io, |_| io.is_ready(side))
    }
}

impl<T: AsFd> fmt::Debug for Ready<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("side", &self.wait.side).finish_non_exhaustive()
    }
}

/// Future of [`Pollable::read_with_async`] and [`Pollable::write_with_async`]. Polled again after it was ready, it begins anew.
#[must_use = "a future does nothing until it is polled"]
pub struct Attempt<'a, T: AsFd, F> {
    io: &'a Pollable<T>,
    wait: Wait<'a>,
    attempt: F,
}

impl<'a, T: AsFd, F> Attempt<'a, T, F> {
    pub(super) fn new(io: &'a Pollable<T>, side: Side, attempt: F) -> Self {
        Self { io, wait: Wait::new(io, side), attempt }
    }
}

impl<T: AsFd, R, F: FnMut(&T) -> io::Result<R>> Future for Attempt<'_, T, F> {
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        // SAFETY: `wait` is pinned whenever we are: it is never moved out, there is no `Drop` and no `Unpin` of ours. `attempt` is
        // never pinned.
        let (io, wait, attempt) = unsafe {
            let this = self.get_unchecked_mut();
            (this.io, Pin::new_unchecked(&mut this.wait), &mut this.attempt)
        };
        wait.poll(cx, io, attempt)
    }
}

impl<T: AsFd, F> fmt::Debug for Attempt<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("side", &self.wait.side).finish_non_exhaustive()
    }
}

/// Future of `accept_async`. Polled again after it was ready, it waits for the next connection.
#[must_use = "a future does nothing until it is polled"]
pub struct Accept<'a, L: accept::Listen> {
    listener: &'a L,
    wait: Wait<'a>,
}

impl<'a, L: accept::Listen> Accept<'a, L> {
    pub(super) fn new(listener: &'a L) -> Self {
        Self { listener, wait: Wait::new(listener.pollable(), Side::Read) }
    }
}

impl<L: accept::Listen> Future for Accept<'_, L> {
    type Output = io::Result<(L::Stream, L::Address)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let io = self.listener.pollable();
        // SAFETY: as in `Ready`.
        let wait = unsafe { self.map_unchecked_mut(|this| &mut this.wait) };
        wait.poll(cx, io, L::accept_one)
    }
}

impl<L: accept::Listen> fmt::Debug for Accept<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept").finish_non_exhaustive()
    }
}

/// Future of [`TcpStream::connect_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct Connect {
    state: Connecting,
}

enum Connecting {
    New(SocketAddr),
    /// The wait is for a source that is never freed, so it borrows nothing of the stream.
    Begun(Wait<'static>, TcpStream),
    Done,
}

impl Connect {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { state: Connecting::New(address) }
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        // SAFETY: the `Wait` inside is moved in before it is polled, and dropped in place after.
        let state = unsafe { &mut self.get_unchecked_mut().state };
        if let Connecting::New(address) = state {
            let stream = TcpStream::begin_to_connect(address)?;
            let wait = Wait::new(stream.pollable(), Side::Write);
            *state = Connecting::Begun(wait, stream);
        }
        let Connecting::Begun(wait, stream) = state else { panic!("a connect polled after it was done") };
        // SAFETY: in place until `state` is overwritten below.
        let wait = unsafe { Pin::new_unchecked(wait) };
        let outcome = ready!(wait.poll(cx, stream.pollable(), TcpStream::is_connected));
        let stream = stream.clone_handle();
        *state = Connecting::Done;
        Poll::Ready(outcome.map(|()| stream))
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").finish_non_exhaustive()
    }
}
