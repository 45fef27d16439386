//! UDP.

use super::{
    Pollable, ToSocketAddrs,
    futures::Ready,
    lookup::each,
    socket::{datagrams, limits, socket},
    source::Side,
};
use crate::time::Instant;
use std::{
    fmt,
    future::Future,
    io,
    net::{self as std_net, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    panic::Location,
    sync::Arc,
    time::Duration,
};

/// As [`std::net::UdpSocket`]: it sends and receives messages.
///
/// # Examples
///
/// ```
/// use greenlight::{go, net::UdpSocket};
///
/// let server = UdpSocket::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let task = go(move || {
///     let mut buffer = [0; 16];
///     let (len, client) = server.recv_from(&mut buffer)?;
///     server.send_to(&buffer[..len], client)
/// });
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.connect(address)?;
/// client.send(b"ping")?;
/// assert_eq!(client.recv(&mut [0; 16])?, 4);
/// task.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket {
    io: Arc<Pollable<std_net::UdpSocket>>,
}

socket!(UdpSocket, std_net::UdpSocket);
limits!(UdpSocket, std_net::UdpSocket);
datagrams!(UdpSocket, SocketAddr);

/// Options that are std's, with std's names.
macro_rules! options {
    ($($(#[$doc:meta])* $get:ident, $set:ident: $type:ty;)*) => {
        impl UdpSocket {$(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn $set(&self, value: $type) -> io::Result<()> {
                self.io.get_ref().$set(value)
            }

            /// What is set by
            #[doc = concat!("[`", stringify!($set), "`](Self::", stringify!($set), ").")]
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn $get(&self) -> io::Result<$type> {
                self.io.get_ref().$get()
            }
        )*}
    };
}

options! {
    /// Sets `SO_BROADCAST`: it may send to a broadcast address.
    broadcast, set_broadcast: bool;
    /// Sets `IP_TTL`.
    ttl, set_ttl: u32;
    /// Sets `IP_MULTICAST_LOOP`: it hears what it sends to its groups.
    multicast_loop_v4, set_multicast_loop_v4: bool;
    /// Sets `IPV6_MULTICAST_LOOP`: it hears what it sends to its groups.
    multicast_loop_v6, set_multicast_loop_v6: bool;
    /// Sets `IP_MULTICAST_TTL`.
    multicast_ttl_v4, set_multicast_ttl_v4: u32;
}

impl UdpSocket {
    /// A socket at an address; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// The system's, for the last address that was tried.
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        each(address, |address| Self::from_std(std_net::UdpSocket::bind(address)?))
    }

    /// From now on [`send`](Self::send) sends to this address, and only messages from there are received.
    ///
    /// # Errors
    ///
    /// The system's, for the last address that was tried.
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        each(address, |address| self.io.get_ref().connect(address))
    }

    /// Sends one message. As in std, only the first address is tried.
    ///
    /// # Errors
    ///
    /// The system's: it may be one that an earlier message met.
    #[track_caller]
    pub fn send_to<A: ToSocketAddrs>(&self, message: &[u8], address: A) -> io::Result<usize> {
        let none = || io::Error::new(io::ErrorKind::InvalidInput, "no address to send to");
        let address = address.to_socket_addrs()?.next().ok_or_else(none)?;
        self.io.perform(Side::Write, "send a datagram", Location::caller(), |io| io.send_to(message, address))
    }

    /// [`send_to`](Self::send_to) one address that never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; as for [`send_to`](Self::send_to).
    pub fn try_send_to(&self, message: &[u8], address: SocketAddr) -> io::Result<usize> {
        self.io.try_write_with(|io| io.send_to(message, address))
    }

    /// [`send_to`](Self::send_to) one address, as a future. Dropped, it has sent nothing.
    pub fn send_to_async(&self, message: &[u8], address: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send {
        self.io.write_with_async(move |io| io.send_to(message, address))
    }

    /// [`recv`](Self::recv) that leaves the message there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.perform(Side::Read, "peek at a datagram", Location::caller(), |io| io.peek(buffer))
    }

    /// [`recv_from`](Self::recv_from) that leaves the message there.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.perform(Side::Read, "peek at a datagram", Location::caller(), |io| io.peek_from(buffer))
    }

    /// Joins a multicast group, on the interface with this address (`UNSPECIFIED`: the system chooses).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.io.get_ref().join_multicast_v4(group, interface)
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.io.get_ref().leave_multicast_v4(group, interface)
    }

    /// Joins a multicast group, on the interface with this number (0: any).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get_ref().join_multicast_v6(group, interface)
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get_ref().leave_multicast_v6(group, interface)
    }
}
