//! Messages.

use super::{FIRST_PAUSE, LAST_PAUSE, SocketAddr};
use crate::{
    net::{
        Pollable,
        futures::Ready,
        socket::{datagrams, limits, socket},
        source::Side,
    },
    time::{Instant, sleep_async},
};
use std::{
    fmt,
    future::Future,
    io,
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net as std_net,
    },
    panic::Location,
    path::Path,
    sync::Arc,
    time::Duration,
};

/// As [`std::os::unix::net::UnixDatagram`].
///
/// # Examples
///
/// ```
/// use greenlight::{go, net::unix::UnixDatagram};
///
/// let (a, b) = UnixDatagram::pair()?;
/// let task = go(move || b.recv(&mut [0; 16]));
/// a.send(b"ping")?;
/// assert_eq!(task.join().unwrap()?, 4);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixDatagram {
    io: Arc<Pollable<std_net::UnixDatagram>>,
}

socket!(UnixDatagram, std_net::UnixDatagram);
limits!(UnixDatagram, std_net::UnixDatagram);
datagrams!(UnixDatagram, SocketAddr);

impl UnixDatagram {
    /// A socket at a path, where its file appears.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::from_std(std_net::UnixDatagram::bind(path)?)
    }

    /// A socket at an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::from_std(std_net::UnixDatagram::bind_addr(address)?)
    }

    /// A socket without an address: it can send.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unbound() -> io::Result<Self> {
        Self::from_std(std_net::UnixDatagram::unbound()?)
    }

    /// Two that are connected with each other.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = std_net::UnixDatagram::pair()?;
        Ok((Self::from_std(a)?, Self::from_std(b)?))
    }

    /// From now on [`send`](Self::send) sends there, and only messages from there are received.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.io.get_ref().connect(path)
    }

    /// [`connect`](Self::connect) to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.io.get_ref().connect_addr(address)
    }

    /// Sends one message to the socket at a path. It waits while that one's queue is full, looking again and again, since the
    /// kernel tells only connected senders when there is room.
    ///
    /// # Errors
    ///
    /// The system's.
    #[track_caller]
    pub fn send_to<P: AsRef<Path>>(&self, message: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(message, &SocketAddr::from_pathname(path)?)
    }

    /// [`send_to`](Self::send_to) an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// The system's.
    #[track_caller]
    pub fn send_to_addr(&self, message: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let (what, site) = ("send a datagram", Location::caller());
        let attempt = |io: &std_net::UnixDatagram| io.send_to_addr(message, address);
        Ok(self.io.perform_every(Some(LAST_PAUSE), Side::Write, what, site, attempt)?.0)
    }

    /// [`send_to_addr`](Self::send_to_addr) that never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; as for [`send_to`](Self::send_to).
    pub fn try_send_to_addr(&self, message: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.io.try_write_with(|io| io.send_to_addr(message, address))
    }

    /// [`send_to_addr`](Self::send_to_addr) as a future. Dropped, it has sent nothing.
    pub async fn send_to_addr_async(&self, message: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_send_to_addr(message, address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep_async(pause).await,
                done => return done,
            }
            pause = LAST_PAUSE.min(pause * 2);
        }
    }

    /// Ends one direction, or both.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }
}
