//! Sockets of the Unix family, with the names of [`std::os::unix::net`].
//!
//! What is said of [`net`](super) holds here too. A socket leaves its file behind, as std's does.

mod datagram;
mod listener;
mod stream;

pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use std::os::unix::net::SocketAddr;
pub use stream::UnixStream;

use std::{io, os::linux::net::SocketAddrExt, path::Path, time::Duration};

/// How long to wait before the next attempt, where the kernel tells nobody that there is room now: at first and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// std's address as the one of the system calls.
fn to_raw(address: &SocketAddr) -> io::Result<rustix::net::SocketAddrUnix> {
    if let Some(name) = address.as_abstract_name() {
        return Ok(rustix::net::SocketAddrUnix::new_abstract_name(name)?);
    }
    Ok(rustix::net::SocketAddrUnix::new(address.as_pathname().unwrap_or(Path::new("")))?)
}

/// A peer's address, as std's. Without one, and with a name that std cannot say: unnamed.
fn from_raw(address: Option<rustix::net::SocketAddrAny>) -> io::Result<SocketAddr> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let address = address.and_then(|address| rustix::net::SocketAddrUnix::try_from(address).ok());
    // An unnamed one comes as an abstract name without a letter.
    let name = address.as_ref().and_then(|address| address.abstract_name()).filter(|name| !name.is_empty());
    if let Some(name) = name {
        return SocketAddr::from_abstract_name(name);
    }
    let path = address.as_ref().and_then(|address| address.path_bytes()).unwrap_or_default();
    SocketAddr::from_pathname(OsStr::from_bytes(path))
}
