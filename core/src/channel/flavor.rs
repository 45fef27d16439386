//! The heap channels' buffers behind one type, so that a program needs one `Sender` and one `Receiver` type.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
    pool::HeapPool,
    rendezvous::Rendezvous,
    ring::Ring,
    segments::Segments,
    timer::Timer,
};
use crate::park::Tick;
use alloc::boxed::Box;

pub enum Flavor<T> {
    Ring(Ring<T>),
    Pool(HeapPool<T>),
    Unbounded(Segments<T>),
    Rendezvous(Rendezvous<T>),
    /// Boxed: it holds a message, and every channel would be as large.
    Timer(Box<Timer<T>>),
}

/// The same call to whatever buffer it is.
macro_rules! each {
    ($self:ident, $buffer:ident => $call:expr) => {
        match $self {
            Flavor::Ring($buffer) => $call,
            Flavor::Pool($buffer) => $call,
            Flavor::Unbounded($buffer) => $call,
            Flavor::Rendezvous($buffer) => $call,
            Flavor::Timer($buffer) => $call,
        }
    };
}

/// What a wait at a rendezvous asks again and again: inlined for that, a call for the others.
macro_rules! meeting_or_elsewhere {
    ($self:ident.$method:ident() -> $result:ty) => {{
        #[inline(never)]
        fn elsewhere<T>(flavor: &Flavor<T>) -> $result {
            each!(flavor, buffer => buffer.$method())
        }
        match $self {
            Self::Rendezvous(meeting) => meeting.$method(),
            _ => elsewhere($self),
        }
    }};
}

/// Not inlined, so that a program's sends and receives hold the code of the most usual buffers only.
impl<T> Flavor<T> {
    #[inline(never)]
    fn push_elsewhere(&self, value: T) -> Result<(), TrySendError<T>> {
        each!(self, buffer => buffer.push(value))
    }

    #[inline(never)]
    fn pop_elsewhere(&self) -> Result<T, TryRecvError> {
        each!(self, buffer => buffer.pop())
    }
}

impl<T> Buffer<T> for Flavor<T> {
    type Place = usize;

    #[inline]
    fn push(&self, value: T) -> Result<(), TrySendError<T>> {
        match self {
            Self::Ring(ring) => ring.push(value),
            Self::Rendezvous(meeting) => meeting.push(value),
            _ => self.push_elsewhere(value),
        }
    }

    /// Always: the compiler finds it too large, and the call costs as much as finding a ring empty.
    #[inline(always)]
    fn pop(&self) -> Result<T, TryRecvError> {
        match self {
            Self::Ring(ring) => ring.pop(),
            Self::Rendezvous(meeting) => meeting.pop(),
            _ => self.pop_elsewhere(),
        }
    }

    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        each!(self, buffer => buffer.reserve())
    }

    unsafe fn fill(&self, place: usize, value: T) -> Result<(), T> {
        // SAFETY: the caller's promise: `reserve` came to the same buffer.
        each!(self, buffer => unsafe { buffer.fill(place, value) })
    }

    unsafe fn give_back(&self, place: usize) {
        // SAFETY: as above.
        each!(self, buffer => unsafe { buffer.give_back(place) });
    }

    fn close(&self) -> bool {
        each!(self, buffer => buffer.close())
    }

    #[inline]
    fn is_closed(&self) -> bool {
        meeting_or_elsewhere!(self.is_closed() -> bool)
    }

    fn capacity(&self) -> usize {
        each!(self, buffer => buffer.capacity())
    }

    #[inline]
    fn len(&self) -> usize {
        meeting_or_elsewhere!(self.len() -> usize)
    }

    #[inline]
    fn may_pop(&self) -> bool {
        meeting_or_elsewhere!(self.may_pop() -> bool)
    }

    #[inline]
    fn may_push(&self) -> bool {
        meeting_or_elsewhere!(self.may_push() -> bool)
    }

    fn can_pop(&self) -> bool {
        each!(self, buffer => buffer.can_pop())
    }

    fn can_push(&self) -> bool {
        each!(self, buffer => buffer.can_push())
    }

    fn pops(&self) -> usize {
        each!(self, buffer => buffer.pops())
    }

    fn pushes(&self) -> usize {
        each!(self, buffer => buffer.pushes())
    }

    fn met(&self) {
        each!(self, buffer => buffer.met());
    }

    fn is_rendezvous(&self) -> bool {
        matches!(self, Self::Rendezvous(_))
    }

    fn take_back(&self, value: T) {
        each!(self, buffer => buffer.take_back(value));
    }

    fn is_never(&self) -> bool {
        matches!(self, Self::Timer(timer) if timer.is_never())
    }

    fn ripe_at(&self) -> Option<Tick> {
        match self {
            Self::Timer(timer) => timer.ripe_at(),
            _ => None,
        }
    }
}
