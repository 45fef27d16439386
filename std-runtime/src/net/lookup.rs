//! From a name to addresses, off the workers.

use crate::blocking::off_worker;
use std::{
    io,
    net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    vec,
};

/// What stands for one or more addresses, as [`std::net::ToSocketAddrs`] and with the same implementations. A name is looked up on a
/// thread of [`blocking`](fn@crate::blocking); what is written in digits needs no thread.
///
/// # Examples
///
/// ```
/// use greenlight::net::ToSocketAddrs;
///
/// let mut addresses = ("127.0.0.1", 80).to_socket_addrs()?;
/// assert_eq!(addresses.next(), Some(([127, 0, 0, 1], 80).into()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// If there is no such name, or no port in it.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

/// Looks a name up: [`ToSocketAddrs::to_socket_addrs`] as a function.
///
/// # Errors
///
/// If there is no such name, or no port in it.
///
/// # Cancellation
///
/// The look-up goes on, unheard.
///
/// # Examples
///
/// ```
/// let addresses: Vec<_> = greenlight::net::lookup_host("localhost:80")?.collect();
/// assert!(addresses.iter().all(|address| address.ip().is_loopback()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn lookup_host<A: ToSocketAddrs>(host: A) -> io::Result<A::Iter> {
    host.to_socket_addrs()
}

fn one(address: SocketAddr) -> vec::IntoIter<SocketAddr> {
    vec![address].into_iter()
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        if let Ok(address) = self.parse() {
            return Ok(one(address));
        }
        let name = String::from(self);
        off_worker(move || net::ToSocketAddrs::to_socket_addrs(&*name))
    }
}

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let (host, port) = *self;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(one(SocketAddr::new(ip, port)));
        }
        let name = String::from(host);
        off_worker(move || net::ToSocketAddrs::to_socket_addrs(&(&*name, port)))
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (&*self.0, self.1).to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = std::iter::Cloned<std::slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().cloned())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

macro_rules! addresses {
    ($($type:ty),*) => {$(
        impl ToSocketAddrs for $type {
            type Iter = std::option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        }
    )*};
}

addresses!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

/// Tries `attempt` with one address after the other, until one works. The last error, if none does.
pub(super) fn each<A: ToSocketAddrs, R>(
    addresses: A,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<R>,
) -> io::Result<R> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to try");
    for address in addresses.to_socket_addrs()? {
        match attempt(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}
