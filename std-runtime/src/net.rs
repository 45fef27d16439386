//! Sockets that block the green thread only: TCP, UDP, and Unix sockets ([`unix`]) with the names of [`std::net`]; and any other
//! descriptor that can be polled ([`Pollable`]).
//!
//! Changing `std::net` to `greenlight::net` moves a program over. [`Read`](std::io::Read) and [`Write`](std::io::Write) are
//! there, also for `&TcpStream`, so std's `BufReader` and libraries that are written for std's sockets work as they are. On
//! an OS thread the calls block that thread.
//!
//! ```
//! use greenlight::{go, net::{TcpListener, TcpStream}};
//! use std::io::{BufRead, BufReader, Write};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! go(move || {
//!     for stream in listener.incoming().flatten() {
//!         go(move || {
//!             for line in BufReader::new(&stream).lines().map_while(Result::ok) {
//!                 writeln!(&stream, "{}", line.to_uppercase())?;
//!             }
//!             std::io::Result::Ok(())
//!         });
//!     }
//! });
//!
//! let stream = TcpStream::connect(address)?;
//! writeln!(&stream, "hello")?;
//! let mut answer = String::new();
//! BufReader::new(&stream).read_line(&mut answer)?;
//! assert_eq!(answer, "HELLO\n");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What differs from `std::net`
//!
//! * **`try_clone`** counts a reference and needs no second descriptor. As in std, the clones are one socket: what one sets, holds
//!   for all. The descriptor is closed with the last of them.
//! * **Time limits.** `set_read_timeout` and `set_write_timeout` are std's, for each blocking call, which then fails with
//!   [`WouldBlock`](std::io::ErrorKind::WouldBlock), as std's does here. `set_read_deadline` and `set_write_deadline` are Go's: a
//!   point in time, after which every call fails with [`TimedOut`](std::io::ErrorKind::TimedOut), one that waits at that moment
//!   too; and a new deadline holds for those who wait already.
//! * **`close`** ends a socket while others use it: each call on it fails then, also those that wait, with an error of
//!   [`Closed`] inside (its kind is `NotConnected`), and `incoming` ends.
//! * **`TryFrom<OwnedFd>`**, where std has `From`: to take a descriptor over is a system call, which may fail.
//! * **`set_nonblocking`** is not there: underneath, the sockets do not block. There are the futures, and
//!   [`Pollable::try_read_with`].
//! * **Names** are looked up on a thread of [`blocking`](fn@crate::blocking). [`ToSocketAddrs`] is a trait of our own, with std's
//!   implementations, because std's hides whether there is a name to look up.
//!
//! # Futures
//!
//! What may wait is there as a future too (`accept_async`, `connect_async`, `readable` …), which any executor may run, and any
//! `select!` wait for. With feature `futures` the streams are `AsyncRead` and `AsyncWrite` of the `futures-io` crate.
//!
//! # Cancellation
//!
//! A green thread that is cancelled in a call has read nothing, written nothing, accepted nothing in it. (In `write_all` and
//! its like, which make several calls, some may have been made.) The same holds for a future that is dropped.
//!
//! # Errors
//!
//! The system's are returned as they are, those too that say that no descriptor is left, in `accept` for the socket, and in the first
//! call that waits for the poller of its worker. Nothing panics.
//!
//! # Cost
//!
//! A call that need not wait is its system call, and a short lock. One that waits is registered with a poller once in the
//! socket's life (a system call); after that an event wakes it, of which one system call brings many. A green thread's events
//! come to its own worker, which sleeps in its poller when it has nothing else to do.

mod accept;
pub(crate) mod doorbell;
mod futures;
mod lookup;
mod pollable;
#[cfg(feature = "futures")]
mod polled;
pub(crate) mod poller;
mod socket;
mod source;
mod tcp;
mod udp;
pub mod unix;

pub use accept::Incoming;
pub use futures::{Accept, Attempt, Connect, Ready};
pub use lookup::{ToSocketAddrs, lookup_host};
pub use pollable::{Closed, Pollable};
pub(crate) use source::anybody_waits;
pub use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
