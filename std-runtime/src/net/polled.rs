//! Streams as `AsyncRead` and `AsyncWrite`: polled, without a place of their own in the line.

use super::{
    Pollable,
    source::{Seen, Side},
};
use std::{
    io::{self, ErrorKind},
    os::fd::AsFd,
    task::{Context, Poll},
};

/// The loop of a call that is polled: the last one's waker is kept, for each direction.
pub(super) fn poll<T: AsFd, R>(
    io: &Pollable<T>,
    side: Side,
    cx: &Context<'_>,
    attempt: impl FnMut(&T) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    poll_seeing(io, side, cx, attempt).map_ok(|(done, _)| done)
}

/// [`poll`] for a read of a TCP stream into `room` bytes: it notes that nothing is left (N4).
pub(super) fn drain<T: AsFd>(
    io: &Pollable<T>,
    room: usize,
    cx: &Context<'_>,
    attempt: impl FnMut(&T) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    poll_seeing(io, Side::Read, cx, attempt).map_ok(|(len, seen)| {
        io.side(Side::Read).has_read(len, room, seen);
        len
    })
}

/// Also what it saw before the attempt that did it.
fn poll_seeing<T: AsFd, R>(
    io: &Pollable<T>,
    side: Side,
    cx: &Context<'_>,
    mut attempt: impl FnMut(&T) -> io::Result<R>,
) -> Poll<io::Result<(R, Seen)>> {
    let direction = io.side(side);
    loop {
        let seen = direction.begin()?;
        if !seen.drained {
            match attempt(io.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done.map(|done| (done, seen))),
            }
        }
        io.register()?;
        if direction.leave(seen, cx.waker()) {
            return Poll::Pending;
        }
    }
}

macro_rules! async_stream {
    ($name:ident) => {
        async_stream!(@ $name, $name);
        async_stream!(@ $name, &$name);

        impl $name {
            fn poll_end(&self) -> Poll<io::Result<()>> {
                // A second time, or after the peer: it is at its end already.
                Poll::Ready(match self.shutdown(Shutdown::Write) {
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                    done => done,
                })
            }
        }
    };
    (@ $name:ident, $type:ty) => {
        /// One task at a time should read by it, and one write: two that poll the same direction wake each other in turn.
        /// A deadline holds here, as for each call. A timeout does not, since a poll does not know when its call began: see
        /// [`time::timeout`](crate::time::timeout).
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
                $name::poll_read_some(&self.io, cx, buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                polled::poll(&self.io, Side::Read, cx, |mut io| io.read_vectored(buffers))
            }
        }

        /// `poll_close` shuts the direction down. As to deadlines and timeouts, see `AsyncRead`.
        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
                polled::poll(&self.io, Side::Write, cx, |mut io| io.write(buffer))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                polled::poll(&self.io, Side::Write, cx, |mut io| io.write_vectored(buffers))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_end()
            }
        }
    };
}

pub(super) use async_stream;
