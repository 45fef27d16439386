//! Waiting for connections at a path.

use super::{SocketAddr, UnixStream, from_raw};
use crate::{
    net::{
        Pollable,
        accept::{self, Incoming, Listen},
        futures::Accept,
        socket::{limits, socket},
    },
    time::Instant,
};
use std::{
    fmt, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net as std_net,
    },
    panic::Location,
    path::Path,
    sync::Arc,
};

/// As [`std::os::unix::net::UnixListener`]: it waits for connections at a path, or at an abstract name.
///
/// # Examples
///
/// ```
/// use greenlight::{go, net::unix::{UnixListener, UnixStream}};
/// use std::io::Write;
///
/// let path = std::env::temp_dir().join(format!("greenlight-doc-{}", std::process::id()));
/// let listener = UnixListener::bind(&path)?;
/// let client = go({
///     let path = path.clone();
///     move || UnixStream::connect(path)?.write_all(b"hello")
/// });
/// let (stream, _) = listener.accept()?;
/// assert_eq!(std::io::read_to_string(stream)?, "hello");
/// client.join().unwrap()?;
/// std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener {
    io: Arc<Pollable<std_net::UnixListener>>,
}

socket!(UnixListener, std_net::UnixListener);
limits!(UnixListener: reads);

impl UnixListener {
    /// Listens at a path, where a file of the socket appears.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::from_std(std_net::UnixListener::bind(path)?)
    }

    /// Listens at an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::from_std(std_net::UnixListener::bind_addr(address)?)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancellation
    ///
    /// No connection is lost.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        accept::accept(self, Location::caller())
    }

    /// [`accept`](Self::accept) that never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no connection; as for [`accept`](Self::accept).
    pub fn try_accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.io.try_read_with(Self::accept_one)
    }

    /// [`accept`](Self::accept) as a future, which is also an arm of `select!`.
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

    /// Listens no more: new connections are refused, every call on it and its clones fails with
    /// [`Closed`](crate::net::Closed), those too that wait now, and [`incoming`](Self::incoming) ends. The file stays.
    pub fn close(&self) {
        self.io.close();
        let _ = rustix::net::shutdown(&*self.io, rustix::net::Shutdown::Both);
    }
}

impl Listen for UnixListener {
    type Socket = std_net::UnixListener;
    type Stream = UnixStream;
    type Address = SocketAddr;

    fn pollable(&self) -> &Pollable<std_net::UnixListener> {
        &self.io
    }

    fn accept_one(socket: &std_net::UnixListener) -> io::Result<(UnixStream, SocketAddr)> {
        let (descriptor, peer) = accept::accept_raw(socket.as_fd())?;
        Ok((UnixStream::of(descriptor.into()), from_raw(peer)?))
    }
}
