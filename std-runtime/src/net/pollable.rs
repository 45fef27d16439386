//! A descriptor and its place with the pollers: what all sockets here are made of.
//!
//! Every operation is one loop: try the system call, and if it would block, wait until it is worth trying again
//! (`source.rs`). It is written three times: for a blocking call here, and for futures in `futures.rs`, with a place of their
//! own in the line or polled.

use super::{
    futures::{Attempt, Ready},
    source::{Direction, Handle, Seen, Side},
};
use crate::{time::Instant, worker};
use greenlight_core::park::Why;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    panic::Location,
    time::Duration,
};

/// In an [`io::Error`]: the socket was [closed](Pollable::close) by this program.
///
/// # Examples
///
/// ```
/// use greenlight::net::{Closed, TcpListener};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// listener.close();
/// let error = listener.accept().unwrap_err();
/// assert!(error.get_ref().unwrap().is::<Closed>());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the socket was closed by this program")
    }
}

impl Error for Closed {}

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        Self::new(ErrorKind::NotConnected, closed)
    }
}

/// Any descriptor that the kernel can poll, so that what blocks on it blocks the green thread only: a pipe, a terminal, a socket of
/// a kind that is not in [`net`](super), `inotify`, `eventfd`, a driver's.
///
/// It says when to try; the trying is the program's, by closures on what is inside ([`read_with`](Self::read_with)), or by
/// [`Read`] and [`Write`], where that has them for its references. A regular file is no such descriptor: it never says that it
/// would block, so it simply blocks, the worker too; see [`fs`](crate::fs).
///
/// # Cancellation
///
/// A call that is cancelled while it waits has called its closure in vain only.
///
/// # Examples
///
/// ```
/// use greenlight::{go, net::Pollable};
/// use std::io::{Read, Write};
///
/// let (reader, writer) = std::io::pipe()?;
/// let (mut reader, mut writer) = (Pollable::new(reader)?, Pollable::new(writer)?);
/// let task = go(move || {
///     let mut word = [0; 5];
///     reader.read_exact(&mut word)?; // this green thread waits, not its worker
///     std::io::Result::Ok(word)
/// });
/// writer.write_all(b"hello")?;
/// assert_eq!(&task.join().unwrap()?, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pollable<T: AsFd> {
    handle: Handle,
    /// None only while it is dropped.
    io: Option<T>,
}

impl<T: AsFd> Pollable<T> {
    /// Makes `io` non-blocking. That is a property of the open file, not of the descriptor: whoever has a duplicate of it, in
    /// another process too, sees it (this concerns standard input, which a shell shares with its programs).
    ///
    /// # Errors
    ///
    /// The system's. That `io` cannot be polled at all shows in the first call that would wait.
    pub fn new(io: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Ok(Self::already_nonblocking(io))
    }

    pub(super) fn already_nonblocking(io: T) -> Self {
        Self { handle: Handle::new(), io: Some(io) }
    }

    /// What is inside. A call on it that would block fails with [`WouldBlock`](ErrorKind::WouldBlock).
    #[inline]
    pub fn get_ref(&self) -> &T {
        self.io.as_ref().expect("taken out by the drop only")
    }

    /// What was inside, still non-blocking.
    pub fn into_inner(mut self) -> T {
        let io = self.io.take().expect("taken out by the drop only");
        self.handle.release(io.as_fd());
        io
    }

    pub(super) fn side(&self, side: Side) -> &'static Direction {
        self.handle.side(side)
    }

    pub(super) fn register(&self) -> io::Result<()> {
        self.handle.register(self.get_ref().as_fd())
    }

    /// Whether a call would not wait: by a system call, so it is never out of date.
    pub(super) fn is_ready(&self, side: Side) -> io::Result<()> {
        let mut fds = [PollFd::new(self.get_ref(), Self::flags(side))];
        match rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    fn flags(side: Side) -> PollFlags {
        match side {
            Side::Read => PollFlags::IN | PollFlags::RDHUP,
            Side::Write => PollFlags::OUT,
        }
    }

    /// The loop of every blocking call.
    pub(super) fn perform<R>(
        &self,
        side: Side,
        what: &'static str,
        site: &'static Location<'static>,
        attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        Ok(self.perform_every(None, side, what, site, attempt)?.0)
    }

    /// [`perform`](Self::perform) for a read of a TCP stream into `room` bytes: it notes that nothing is left (N4).
    pub(super) fn drain(
        &self,
        room: usize,
        what: &'static str,
        site: &'static Location<'static>,
        attempt: impl FnMut(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let (len, seen) = self.perform_every(None, Side::Read, what, site, attempt)?;
        self.side(Side::Read).has_read(len, room, seen);
        Ok(len)
    }

    /// [`perform`](Self::perform), which tries again after `pause` though there is no event. Also what it saw before the attempt that
    /// did it.
    pub(super) fn perform_every<R>(
        &self,
        pause: Option<Duration>,
        side: Side,
        what: &'static str,
        site: &'static Location<'static>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<(R, Seen)> {
        worker::take_turns();
        let direction = self.side(side);
        let mut end = None;
        loop {
            let seen = direction.begin()?;
            if !seen.drained {
                match attempt(self.get_ref()) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    done => return done.map(|done| (done, seen)),
                }
            }
            // The first wait starts the time limit.
            let end = seen.timeout.map(|timeout| *end.get_or_insert_with(|| Instant::now() + timeout));
            let pause = pause.map(|pause| Instant::now() + pause);
            self.wait(side, seen, end, pause, &Why { what, object: self.handle.object(), site })?;
        }
    }

    fn wait(&self, side: Side, seen: Seen, end: Option<Instant>, pause: Option<Instant>, why: &Why) -> io::Result<()> {
        if let Some(worker) = worker::current()
            && std::thread::panicking()
        {
            // No green thread runs on this worker meanwhile: so it waits for this socket itself, and serves the others beside. A
            // piece at a time: a deadline may be set.
            let io = PollFd::new(self.get_ref(), Self::flags(side));
            worker.poller.wait_beside(io, &Timespec { tv_sec: 0, tv_nsec: 10_000_000 });
        } else {
            self.register()?;
            // At the deadline, the next try finds out: a new one may have been set.
            let deadline = seen.deadline.map(Instant::from_tick);
            let until = [deadline, end, pause].into_iter().flatten().min().and_then(Instant::deadline);
            if self.side(side).wait(seen, until, why) {
                return Ok(());
            }
        }
        match end {
            Some(end) if Instant::now() >= end => Err(ErrorKind::WouldBlock.into()), // std's, for a timeout
            _ => Ok(()),
        }
    }

    /// Waits until reading would not: there is something, or the end, or an error.
    ///
    /// # Errors
    ///
    /// As for each call: [see above](super#errors); if the deadline has passed; if it is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::net::Pollable;
    /// use std::io::Read;
    ///
    /// let (reader, writer) = std::io::pipe()?;
    /// let reader = Pollable::new(reader)?;
    /// drop(writer);
    /// reader.wait_readable()?;
    /// assert_eq!(reader.get_ref().read(&mut [0])?, 0); // the end
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_readable(&self) -> io::Result<()> {
        self.perform(Side::Read, "read from a descriptor", Location::caller(), |_| self.is_ready(Side::Read))
    }

    /// Waits until writing would not: there is room, or an error.
    ///
    /// # Errors
    ///
    /// As [`wait_readable`](Self::wait_readable).
    #[track_caller]
    pub fn wait_writable(&self) -> io::Result<()> {
        self.perform(Side::Write, "write to a descriptor", Location::caller(), |_| self.is_ready(Side::Write))
    }

    /// [`wait_readable`](Self::wait_readable) as a future.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{channel::never, net::Pollable, select};
    /// use std::io::Write;
    ///
    /// let (reader, mut writer) = std::io::pipe()?;
    /// let reader = Pollable::new(reader)?;
    /// writer.write_all(b"!")?;
    /// select! {
    ///     recv(never::<()>()) -> _ => unreachable!(),
    ///     wait(reader.readable()) -> ready => ready?,
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn readable(&self) -> Ready<'_, T> {
        Ready::new(self, Side::Read)
    }

    /// [`wait_writable`](Self::wait_writable) as a future.
    pub fn writable(&self) -> Ready<'_, T> {
        Ready::new(self, Side::Write)
    }

    /// Calls `attempt` until it says something else than [`WouldBlock`](ErrorKind::WouldBlock), and waits in between until there may
    /// be something to read.
    ///
    /// # Errors
    ///
    /// Those of `attempt`, and as for each call: [see above](super#errors).
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::net::Pollable;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// let (a, b) = UnixDatagram::pair()?;
    /// let (a, b) = (Pollable::new(a)?, Pollable::new(b)?);
    /// a.write_with(|socket| socket.send(b"ping"))?;
    /// assert_eq!(b.read_with(|socket| socket.recv(&mut [0; 8]))?, 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn read_with<R>(&self, attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.perform(Side::Read, "read from a descriptor", Location::caller(), attempt)
    }

    /// [`read_with`](Self::read_with) for writing.
    ///
    /// # Errors
    ///
    /// As [`read_with`](Self::read_with).
    #[track_caller]
    pub fn write_with<R>(&self, attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.perform(Side::Write, "write to a descriptor", Location::caller(), attempt)
    }

    /// [`read_with`](Self::read_with) as a future. Dropped, it has called `attempt` in vain only.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{block_on, net::Pollable};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// let (a, b) = UnixDatagram::pair()?;
    /// let (a, b) = (Pollable::new(a)?, Pollable::new(b)?);
    /// let len = block_on(async {
    ///     a.write_with_async(|socket| socket.send(b"ping")).await?;
    ///     b.read_with_async(|socket| socket.recv(&mut [0; 8])).await
    /// })?;
    /// assert_eq!(len, 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_with_async<R, F>(&self, attempt: F) -> Attempt<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        Attempt::new(self, Side::Read, attempt)
    }

    /// [`write_with`](Self::write_with) as a future. Dropped, it has called `attempt` in vain only.
    pub fn write_with_async<R, F>(&self, attempt: F) -> Attempt<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        Attempt::new(self, Side::Write, attempt)
    }

    /// Calls `attempt` once, and never waits. For reading.
    ///
    /// # Errors
    ///
    /// Those of `attempt`, [`WouldBlock`](ErrorKind::WouldBlock) among them; if it is closed, or the deadline has passed.
    pub fn try_read_with<R>(&self, attempt: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.side(Side::Read).begin()?;
        attempt(self.get_ref())
    }

    /// [`try_read_with`](Self::try_read_with) for writing.
    ///
    /// # Errors
    ///
    /// As [`try_read_with`](Self::try_read_with).
    pub fn try_write_with<R>(&self, attempt: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.side(Side::Write).begin()?;
        attempt(self.get_ref())
    }

    /// How long a blocking call that reads may wait. None: for ever.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.side(Side::Read).timeout()
    }

    /// How long a blocking call that writes may wait. None: for ever.
    pub fn write_timeout(&self) -> Option<Duration> {
        self.side(Side::Write).timeout()
    }

    /// Sets how long a blocking call that reads may wait, from the next call on. It fails with
    /// [`WouldBlock`](ErrorKind::WouldBlock) then.
    ///
    /// # Errors
    ///
    /// If the time is zero, as in std.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_timeout(Side::Read, limit)
    }

    /// [`set_read_timeout`](Self::set_read_timeout) for writing.
    ///
    /// # Errors
    ///
    /// If the time is zero, as in std.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_timeout(Side::Write, limit)
    }

    fn set_timeout(&self, side: Side, limit: Option<Duration>) -> io::Result<()> {
        if limit == Some(Duration::ZERO) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "cannot set a time limit of zero"));
        }
        self.side(side).set_timeout(limit);
        Ok(())
    }

    /// Until when what reads may wait. None: for ever.
    pub fn read_deadline(&self) -> Option<Instant> {
        self.side(Side::Read).deadline().map(Instant::from_tick)
    }

    /// Until when what writes may wait. None: for ever.
    pub fn write_deadline(&self) -> Option<Instant> {
        self.side(Side::Write).deadline().map(Instant::from_tick)
    }

    /// Sets the point in time after which everything that reads fails with [`TimedOut`](ErrorKind::TimedOut). Those who wait
    /// at this moment go by the new one.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{go, net::Pollable, time::Instant};
    /// use std::io::{ErrorKind, Read};
    ///
    /// let (reader, _writer) = std::io::pipe()?;
    /// let reader = std::sync::Arc::new(Pollable::new(reader)?);
    /// let task = go({
    ///     let reader = reader.clone();
    ///     move || (&*reader).read(&mut [0])
    /// });
    /// reader.set_read_deadline(Some(Instant::now()));
    /// assert_eq!(task.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_read_deadline(&self, deadline: Option<Instant>) {
        self.side(Side::Read).set_deadline(deadline.and_then(Instant::deadline));
    }

    /// [`set_read_deadline`](Self::set_read_deadline) for writing.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) {
        self.side(Side::Write).set_deadline(deadline.and_then(Instant::deadline));
    }

    /// From now on every call here fails with [`Closed`], also those that wait now. The descriptor itself is closed when this is
    /// dropped. A second call does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{go, net::Pollable};
    ///
    /// let (reader, _writer) = std::io::pipe()?;
    /// let reader = std::sync::Arc::new(Pollable::new(reader)?);
    /// let task = go({
    ///     let reader = reader.clone();
    ///     move || reader.wait_readable()
    /// });
    /// reader.close();
    /// assert!(task.join().unwrap().is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

impl<T: AsFd> Drop for Pollable<T> {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            self.handle.release(io.as_fd());
        }
    }
}

impl<T: AsFd> Read for &Pollable<T>
where
    for<'a> &'a T: Read,
{
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(|mut io| io.read(buffer))
    }

    #[track_caller]
    fn read_vectored(&mut self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_with(|mut io| io.read_vectored(buffers))
    }
}

impl<T: AsFd> Read for Pollable<T>
where
    for<'a> &'a T: Read,
{
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    #[track_caller]
    fn read_vectored(&mut self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl<T: AsFd> Write for &Pollable<T>
where
    for<'a> &'a T: Write,
{
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_with(|mut io| io.write(buffer))
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|mut io| io.write_vectored(buffers))
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        self.write_with(|mut io| io.flush())
    }
}

impl<T: AsFd> Write for Pollable<T>
where
    for<'a> &'a T: Write,
{
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl<T: AsFd> AsFd for Pollable<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd> AsRawFd for Pollable<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Pollable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pollable").field("io", self.get_ref()).finish_non_exhaustive()
    }
}
