//! Connections.

use super::{FIRST_PAUSE, LAST_PAUSE, SocketAddr, to_raw};
#[cfg(feature = "futures")]
use crate::net::polled::{self, async_stream};
use crate::{
    net::{
        Pollable,
        futures::Ready,
        socket::{limits, socket, stream},
        source::Side,
    },
    sleep,
    time::{Instant, sleep_async},
};
#[cfg(feature = "futures")]
use futures_io::{AsyncRead, AsyncWrite};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};
use std::{
    fmt,
    future::Future,
    io::{self, IoSlice, IoSliceMut, Read, Write},
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
#[cfg(feature = "futures")]
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// As [`std::os::unix::net::UnixStream`].
///
/// # Examples
///
/// ```
/// use greenlight::{go, net::unix::UnixStream};
/// use std::io::{Read, Write};
///
/// let (mut a, mut b) = UnixStream::pair()?;
/// let task = go(move || b.write_all(b"hello"));
/// let mut word = [0; 5];
/// a.read_exact(&mut word)?;
/// assert_eq!(&word, b"hello");
/// task.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixStream {
    io: Arc<Pollable<std_net::UnixStream>>,
}

socket!(UnixStream, std_net::UnixStream);
limits!(UnixStream, std_net::UnixStream);
stream!(UnixStream, "read from a Unix stream", "write to a Unix stream");
#[cfg(feature = "futures")]
async_stream!(UnixStream);

impl UnixStream {
    /// Connects to the socket at a path. It waits while the listener's queue is full, looking again and again, since the kernel tells
    /// nobody when there is room.
    ///
    /// # Errors
    ///
    /// The system's.
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// [`connect`](Self::connect) to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// The system's.
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let mut connecting = Connecting::begin(address)?;
        loop {
            match connecting.attempt()? {
                Some(stream) => return Ok(stream),
                None => sleep(connecting.pause()),
            }
        }
    }

    /// [`connect_addr`](Self::connect_addr) as a future.
    pub fn connect_async(address: &SocketAddr) -> impl Future<Output = io::Result<Self>> + Send + use<> {
        let connecting = Connecting::begin(address);
        async move {
            let mut connecting = connecting?;
            loop {
                match connecting.attempt()? {
                    Some(stream) => return Ok(stream),
                    None => sleep_async(connecting.pause()).await,
                }
            }
        }
    }

    /// Two that are connected with each other.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = std_net::UnixStream::pair()?;
        Ok((Self::from_std(a)?, Self::from_std(b)?))
    }

    /// Without `drain`: messages with descriptors, or other credentials, in them cut a read short though there is more.
    fn read_at(&self, site: &'static Location<'static>, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.perform(Side::Read, "read from a Unix stream", site, |mut io| io.read(buffer))
    }

    fn read_some_async(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.io.read_with_async(|mut io| io.read(buffer))
    }

    #[cfg(feature = "futures")]
    fn poll_read_some(
        io: &Pollable<std_net::UnixStream>,
        cx: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        polled::poll(io, Side::Read, cx, |mut io| io.read(buffer))
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// The system's.
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
}

/// A connection that is being made.
struct Connecting {
    address: rustix::net::SocketAddrUnix,
    descriptor: Option<OwnedFd>,
    pause: Duration,
}

impl Connecting {
    fn begin(address: &SocketAddr) -> io::Result<Self> {
        let address = to_raw(address)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok(Self { address, descriptor: Some(descriptor), pause: FIRST_PAUSE })
    }

    /// None if the listener's queue is full.
    fn attempt(&mut self) -> io::Result<Option<UnixStream>> {
        let Some(descriptor) = self.descriptor.take() else { return Ok(None) };
        match rustix::net::connect(&descriptor, &self.address) {
            Ok(()) => Ok(Some(UnixStream::of(descriptor.into()))),
            Err(Errno::AGAIN) => {
                self.descriptor = Some(descriptor);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = LAST_PAUSE.min(pause * 2);
        pause
    }
}
