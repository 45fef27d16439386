//! TCP.

#[cfg(feature = "futures")]
use super::polled::{self, async_stream};
use super::{
    Pollable, ToSocketAddrs,
    accept::{self, Incoming, Listen},
    futures::{Accept, Connect, Ready, drain},
    lookup::each,
    socket::{limits, socket, stream},
    source::Side,
};
use crate::time::Instant;
#[cfg(feature = "futures")]
use futures_io::{AsyncRead, AsyncWrite};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt},
};
use std::{
    fmt,
    future::Future,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    net::{self as std_net, Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    panic::Location,
    sync::Arc,
    time::Duration,
};
#[cfg(feature = "futures")]
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// As [`std::net::TcpListener`]: it waits for TCP connections.
///
/// # Examples
///
/// A server that is told to stop:
///
/// ```
/// use greenlight::{go, net::{TcpListener, TcpStream}};
/// use std::io::Write;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let handle = listener.try_clone()?;
/// let server = go(move || {
///     for stream in listener.incoming() {
///         go(move || stream?.write_all(b"hello"));
///     }
/// });
/// let stream = TcpStream::connect(handle.local_addr()?)?;
/// assert_eq!(std::io::read_to_string(stream)?, "hello");
/// handle.close();
/// server.join().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpListener {
    io: Arc<Pollable<std_net::TcpListener>>,
}

socket!(TcpListener, std_net::TcpListener);
limits!(TcpListener: reads);

impl TcpListener {
    /// Listens at an address; port 0 is a free one. `SO_REUSEADDR` is set, as by std. For other options make the socket with the
    /// `socket2` crate, and take it over by [`from_std`](Self::from_std).
    ///
    /// # Errors
    ///
    /// The system's, for the last address that was tried.
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        each(address, |address| Self::from_std(std_net::TcpListener::bind(address)?))
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// The system's. Most are of one connection, or over when others are closed (`EMFILE`: no descriptor is left; the connection
    /// stays in the queue): a server goes on, after a little while.
    ///
    /// # Cancellation
    ///
    /// No connection is lost.
    ///
    /// # Cost
    ///
    /// One system call for each connection, beside the wait. All who wait here are woken by each connection.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        accept::accept(self, Location::caller())
    }

    /// [`accept`](Self::accept) that never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](ErrorKind::WouldBlock) if there is no connection; as for [`accept`](Self::accept).
    pub fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.io.try_read_with(Self::accept_one)
    }

    /// [`accept`](Self::accept) as a future, which is also an arm of `select!`.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{go, net::{TcpListener, TcpStream}, select};
    /// use std::time::Duration;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// select! {
    ///     wait(listener.accept_async()) -> _ => unreachable!(),
    ///     default(Duration::from_millis(1)) => {}
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept_async(&self) -> Accept<'_, Self> {
        Accept::new(self)
    }

    /// The connections that come, one after the other. It ends when the listener is [closed](Self::close).
    pub fn incoming(&self) -> Incoming<'_, Self> {
        Incoming(self)
    }

    /// The address at which it listens.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Sets `IP_TTL`, which the connections inherit.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(ttl)
    }

    /// `IP_TTL`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Listens no more: new connections are refused, every call on it and its clones fails with [`Closed`](super::Closed), those
    /// too that wait now, and [`incoming`](Self::incoming) ends. The descriptor, and with it the port, is given back with
    /// the last clone.
    pub fn close(&self) {
        self.io.close();
        let _ = rustix::net::shutdown(&*self.io, rustix::net::Shutdown::Both);
    }
}

impl Listen for TcpListener {
    type Socket = std_net::TcpListener;
    type Stream = TcpStream;
    type Address = SocketAddr;

    fn pollable(&self) -> &Pollable<std_net::TcpListener> {
        &self.io
    }

    fn accept_one(socket: &std_net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (descriptor, peer) = accept::accept_raw(socket.as_fd())?;
        let peer = peer.ok_or(Errno::AFNOSUPPORT)?.try_into()?;
        Ok((TcpStream::of(descriptor.into()), peer))
    }
}

/// As [`std::net::TcpStream`]: a TCP connection.
///
/// One task may read while another writes: `&TcpStream` does both, and so do [clones](Self::try_clone).
///
/// # Examples
///
/// ```
/// use greenlight::{go, net::{TcpListener, TcpStream}, time::Instant};
/// use std::{io::{ErrorKind, Read, Write}, net::Shutdown, time::Duration};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (mut server, _) = listener.accept()?;
///
/// client.write_all(b"the question")?;
/// client.shutdown(Shutdown::Write)?; // it still reads
/// assert_eq!(std::io::read_to_string(&server)?, "the question");
///
/// client.set_read_deadline(Some(Instant::now() + Duration::from_millis(2)));
/// assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
/// client.set_read_deadline(None);
/// server.write_all(b"!")?;
/// assert_eq!(client.read(&mut [0])?, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpStream {
    io: Arc<Pollable<std_net::TcpStream>>,
}

socket!(TcpStream, std_net::TcpStream);
limits!(TcpStream, std_net::TcpStream);
stream!(TcpStream, "read from a TCP stream", "write to a TCP stream");

#[cfg(feature = "futures")]
async_stream!(TcpStream);

impl TcpStream {
    /// Connects to the first of the addresses that accepts.
    ///
    /// # Errors
    ///
    /// The system's, for the last address that was tried.
    ///
    /// # Cancellation
    ///
    /// The attempt is given up.
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let site = Location::caller();
        each(address, |address| Self::begin_to_connect(&address)?.end_of_connect(site))
    }

    /// Connects to one address, for `limit` at most.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](ErrorKind::TimedOut) if the time is up; if it is zero, as in std; the system's.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// TcpStream::connect_timeout(&listener.local_addr()?, std::time::Duration::from_secs(5))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn connect_timeout(address: &SocketAddr, limit: Duration) -> io::Result<Self> {
        if limit.is_zero() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "cannot set a time limit of zero"));
        }
        let end = Instant::now() + limit;
        let stream = Self::begin_to_connect(address)?;
        stream.set_write_deadline(Some(end));
        let stream = stream.end_of_connect(Location::caller())?;
        stream.set_write_deadline(None);
        Ok(stream)
    }

    /// [`connect`](Self::connect) to one address, as a future. Dropped, it gives the attempt up.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{block_on, net::{TcpListener, TcpStream}};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let stream = block_on(async { TcpStream::connect_async(address).await })?;
    /// assert_eq!(stream.peer_addr()?, address);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_async(address: SocketAddr) -> Connect {
        Connect::new(address)
    }

    pub(super) fn begin_to_connect(address: &SocketAddr) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        match rustix::net::connect(&descriptor, address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self::of(descriptor.into())),
            Err(error) => Err(error.into()),
        }
    }

    fn end_of_connect(self, site: &'static Location<'static>) -> io::Result<Self> {
        self.io.perform(Side::Write, "connect a TCP stream", site, Self::is_connected)?;
        Ok(self)
    }

    /// An attempt, as the loop wants it.
    pub(super) fn is_connected(socket: &std_net::TcpStream) -> io::Result<()> {
        match socket.peer_addr() {
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                Err(socket.take_error()?.unwrap_or_else(|| ErrorKind::WouldBlock.into()))
            }
            other => other.map(drop),
        }
    }

    fn read_at(&self, site: &'static Location<'static>, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.drain(buffer.len(), "read from a TCP stream", site, |mut io| io.read(buffer))
    }

    fn read_some_async(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        drain(&self.io, buffer.len(), |mut io| io.read(buffer))
    }

    #[cfg(feature = "futures")]
    fn poll_read_some(
        io: &Pollable<std_net::TcpStream>,
        cx: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        polled::drain(io, buffer.len(), cx, |mut io| io.read(buffer))
    }

    pub(super) fn clone_handle(&self) -> Self {
        Self { io: self.io.clone() }
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// The system's: that it is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Reads what comes next and leaves it there.
    ///
    /// # Errors
    ///
    /// As for reading.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.perform(Side::Read, "peek at a TCP stream", Location::caller(), |io| io.peek(buffer))
    }

    /// Sets `TCP_NODELAY`: small writes are sent at once.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get_ref().set_nodelay(nodelay)
    }

    /// `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get_ref().nodelay()
    }

    /// Sets `SO_LINGER`. With `Some(Duration::ZERO)` the end of the stream resets the connection, and with another time it would block
    /// the worker.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(self, linger)?)
    }

    /// `SO_LINGER`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(sockopt::socket_linger(self)?)
    }

    /// Sets `IP_TTL`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(ttl)
    }

    /// `IP_TTL`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }
}
