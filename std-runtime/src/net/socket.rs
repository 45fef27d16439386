//! What all kinds of sockets have in common: a shared [`Pollable`](super::Pollable), and std's socket inside.

/// `$name`'s way from and to std's type, its clones, limits, futures and end.
macro_rules! socket {
    ($name:ident, $std:ty) => {
        impl $name {
            pub(super) fn of(socket: $std) -> Self {
                Self { io: Arc::new(Pollable::already_nonblocking(socket)) }
            }

            /// Takes std's socket over, whose timeouts are not taken along. It is made non-blocking: its duplicates are that too then.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn from_std(socket: $std) -> io::Result<Self> {
                socket.set_nonblocking(true)?;
                Ok(Self::of(socket))
            }

            /// std's socket, blocking.
            ///
            /// # Errors
            ///
            /// With [`ResourceBusy`](io::ErrorKind::ResourceBusy) if there are clones, whose socket it would make blocking too;
            /// the system's.
            pub fn into_std(self) -> io::Result<$std> {
                let io = Arc::try_unwrap(self.io).map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::ResourceBusy,
                        "the socket has clones, which need it to be non-blocking",
                    )
                })?;
                let socket = io.into_inner();
                socket.set_nonblocking(false)?;
                Ok(socket)
            }

            /// Another handle of the same socket, by a counted reference: no descriptor is needed.
            ///
            /// # Errors
            ///
            /// Never. The result is std's.
            pub fn try_clone(&self) -> io::Result<Self> {
                Ok(Self { io: self.io.clone() })
            }

            /// What is underneath: to make calls that are missing here, by
            /// [`read_with`](Pollable::read_with) and its like.
            pub fn pollable(&self) -> &Pollable<$std> {
                &self.io
            }

            /// The error that the system keeps for this socket, if any, which is taken.
            ///
            /// # Errors
            ///
            /// The system's, of asking.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.io.get_ref().take_error()
            }

            /// Whether [`close`](Self::close) was called, here or on a clone.
            pub fn is_closed(&self) -> bool {
                self.io.is_closed()
            }
        }

        /// As [`from_std`](Self::from_std). Not std's `From`: that a descriptor cannot be made non-blocking is the system's to say.
        impl TryFrom<OwnedFd> for $name {
            type Error = io::Error;

            fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
                Self::from_std(descriptor.into())
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.io.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.io.as_raw_fd()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.io.get_ref().fmt(f)
            }
        }
    };
}

/// Limits on how long calls may wait, by std's names and by Go's.
macro_rules! limits {
    ($name:ident: reads) => {
        impl $name {
            /// Sets the point in time after which [`accept`](Self::accept) fails with [`TimedOut`](io::ErrorKind::TimedOut). Those who
            /// wait at this moment go by the new one.
            pub fn set_deadline(&self, deadline: Option<Instant>) {
                self.io.set_read_deadline(deadline);
            }
        }
    };
    ($name:ident, $std:ty) => {
        impl $name {
            /// How long a blocking call that reads may wait: see [`set_read_timeout`](Self::set_read_timeout).
            ///
            /// # Errors
            ///
            /// Never. The result is std's.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.io.read_timeout())
            }

            /// How long a blocking call that writes may wait: see [`set_write_timeout`](Self::set_write_timeout).
            ///
            /// # Errors
            ///
            /// Never. The result is std's.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.io.write_timeout())
            }

            /// Sets how long each blocking call that reads may wait, from the next one on. It fails with
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) then. For futures there is [`time::timeout`](crate::time::timeout).
            ///
            /// # Errors
            ///
            /// If the time is zero.
            pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
                self.io.set_read_timeout(limit)
            }

            /// [`set_read_timeout`](Self::set_read_timeout) for calls that write.
            ///
            /// # Errors
            ///
            /// If the time is zero.
            pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
                self.io.set_write_timeout(limit)
            }

            /// Sets the point in time after which everything that reads fails with [`TimedOut`](io::ErrorKind::TimedOut). Those
            /// who wait at this moment go by the new one. None: no end.
            pub fn set_read_deadline(&self, deadline: Option<Instant>) {
                self.io.set_read_deadline(deadline);
            }

            /// [`set_read_deadline`](Self::set_read_deadline) for what writes.
            pub fn set_write_deadline(&self, deadline: Option<Instant>) {
                self.io.set_write_deadline(deadline);
            }

            /// Both deadlines at once.
            pub fn set_deadline(&self, deadline: Option<Instant>) {
                self.set_read_deadline(deadline);
                self.set_write_deadline(deadline);
            }

            /// Waits, as a future, until reading would not: there is something, or the end, or an error. Also an arm of
            /// `select!`, by `wait(…)`.
            pub fn readable(&self) -> Ready<'_, $std> {
                self.io.readable()
            }

            /// Waits, as a future, until writing would not.
            pub fn writable(&self) -> Ready<'_, $std> {
                self.io.writable()
            }
        }
    };
}

/// Bytes in and out.
macro_rules! stream {
    ($name:ident, $read:literal, $write:literal) => {
        impl $name {
            /// Ends one direction, or both, for all clones and for the peer: it reads the end then. Who waits here to read
            /// reads the end.
            ///
            /// # Errors
            ///
            /// The system's: that the stream is not connected any more.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.io.get_ref().shutdown(how)
            }

            /// From now on every call on it, and on its clones, fails with [`Closed`](crate::net::Closed), those too that wait now.
            /// The peer reads the end. The descriptor is closed with the last clone.
            pub fn close(&self) {
                self.io.close();
                let _ = self.io.get_ref().shutdown(Shutdown::Both);
            }

            /// Reads, as a future. Dropped, it has read nothing.
            pub fn read_async(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.read_some_async(buffer)
            }

            /// Writes, as a future. Dropped, it has written nothing.
            pub fn write_async(&self, buffer: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.io.write_with_async(|mut io| io.write(buffer))
            }

            /// Reads what is there, and never waits.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is; as for reading.
            pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.io.try_read_with(|mut io| io.read(buffer))
            }

            /// Writes what there is room for, and never waits.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; as for writing.
            pub fn try_write(&self, buffer: &[u8]) -> io::Result<usize> {
                self.io.try_write_with(|mut io| io.write(buffer))
            }

            fn write_at(&self, site: &'static Location<'static>, buffer: &[u8]) -> io::Result<usize> {
                self.io.perform(Side::Write, $write, site, |mut io| io.write(buffer))
            }
        }

        impl Read for &$name {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.read_at(Location::caller(), buffer)
            }

            #[track_caller]
            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.io.perform(Side::Read, $read, Location::caller(), |mut io| io.read_vectored(buffers))
            }
        }

        impl Read for $name {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.read_at(Location::caller(), buffer)
            }

            #[track_caller]
            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl Write for &$name {
            #[track_caller]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.write_at(Location::caller(), buffer)
            }

            #[track_caller]
            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                self.io.perform(Side::Write, $write, Location::caller(), |mut io| io.write_vectored(buffers))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Write for $name {
            #[track_caller]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.write_at(Location::caller(), buffer)
            }

            #[track_caller]
            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// Messages in and out, between connected sockets.
macro_rules! datagrams {
    ($name:ident, $address:ty) => {
        impl $name {
            /// The peer's address, if it is connected.
            ///
            /// # Errors
            ///
            /// The system's: that it is not.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.io.get_ref().peer_addr()
            }

            /// Its own address.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.io.get_ref().local_addr()
            }

            /// Sends one message to the peer with which it is connected.
            ///
            /// # Errors
            ///
            /// The system's: it may be one that an earlier message met.
            #[track_caller]
            pub fn send(&self, message: &[u8]) -> io::Result<usize> {
                self.io.perform(Side::Write, "send a datagram", Location::caller(), |io| io.send(message))
            }

            /// Receives one message from the peer with which it is connected; what is longer than `buffer` is cut off.
            ///
            /// # Errors
            ///
            /// The system's: it may be one that an earlier message met.
            #[track_caller]
            pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.io.perform(Side::Read, "receive a datagram", Location::caller(), |io| io.recv(buffer))
            }

            /// Receives one message, and says from whom; what is longer than `buffer` is cut off.
            ///
            /// # Errors
            ///
            /// The system's: it may be one that an earlier message met.
            #[track_caller]
            pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, $address)> {
                self.io.perform(Side::Read, "receive a datagram", Location::caller(), |io| io.recv_from(buffer))
            }

            /// [`send`](Self::send) as a future. Dropped, it has sent nothing.
            pub fn send_async(&self, message: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.io.write_with_async(|io| io.send(message))
            }

            /// [`recv`](Self::recv) as a future. Dropped, it has received nothing.
            pub fn recv_async(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.io.read_with_async(|io| io.recv(buffer))
            }

            /// [`recv_from`](Self::recv_from) as a future. Dropped, it has received nothing.
            pub fn recv_from_async(
                &self,
                buffer: &mut [u8],
            ) -> impl Future<Output = io::Result<(usize, $address)>> + Send {
                self.io.read_with_async(|io| io.recv_from(buffer))
            }

            /// [`send`](Self::send) that never waits.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; as for [`send`](Self::send).
            pub fn try_send(&self, message: &[u8]) -> io::Result<usize> {
                self.io.try_write_with(|io| io.send(message))
            }

            /// [`recv`](Self::recv) that never waits.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no message; as for [`recv`](Self::recv).
            pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.io.try_read_with(|io| io.recv(buffer))
            }

            /// [`recv_from`](Self::recv_from) that never waits.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no message; as for [`recv_from`](Self::recv_from).
            pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, $address)> {
                self.io.try_read_with(|io| io.recv_from(buffer))
            }

            /// From now on every call on it, and on its clones, fails with [`Closed`](crate::net::Closed), those too that wait now. The
            /// descriptor is closed with the last clone.
            pub fn close(&self) {
                self.io.close();
                let _ = rustix::net::shutdown(&*self.io, rustix::net::Shutdown::Both);
            }
        }
    };
}

pub(super) use {datagrams, limits, socket, stream};
