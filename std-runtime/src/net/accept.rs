//! What listeners have in common.

use super::{Pollable, pollable::Closed, source::Side};
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::Location,
};

/// A listener: sealed, for the futures and iterators that serve both kinds.
#[doc(hidden)]
pub trait Listen: Sized {
    type Socket: AsFd;
    type Stream;
    type Address;
    fn pollable(&self) -> &Pollable<Self::Socket>;
    /// One connection that is there already.
    fn accept_one(socket: &Self::Socket) -> io::Result<(Self::Stream, Self::Address)>;
}

pub(super) fn accept<L: Listen>(listener: &L, site: &'static Location<'static>) -> io::Result<(L::Stream, L::Address)> {
    listener.pollable().perform(Side::Read, "accept a connection", site, L::accept_one)
}

/// The system call: non-blocking from birth.
pub(super) fn accept_raw(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?)
}

/// The connections that come to a listener. The iterator ends when the listener is closed, and never else; std's never does.
pub struct Incoming<'a, L: Listen>(pub(super) &'a L);

impl<L: Listen> Iterator for Incoming<'_, L> {
    type Item = io::Result<L::Stream>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        match accept(self.0, Location::caller()) {
            Ok((stream, _)) => Some(Ok(stream)),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Closed>()) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<L: Listen> fmt::Debug for Incoming<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
