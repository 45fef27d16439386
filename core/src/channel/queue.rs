//! A buffer without a limit: a `VecDeque` behind a spin lock.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
};
use crate::{
    spin::SpinMutex,
    sync::{
        atomic::{AtomicUsize, Ordering::*},
        model_fence,
    },
};
use alloc::collections::VecDeque;

const CLOSED: usize = 1;
const ONE: usize = 2;

pub struct Queue<T> {
    values: SpinMutex<VecDeque<T>>,
    /// How many there are, and CLOSED. Written under the lock; SeqCst throughout for B4.
    state: AtomicUsize,
    pops: AtomicUsize,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { values: SpinMutex::new(VecDeque::new()), state: AtomicUsize::new(0), pops: AtomicUsize::new(0) }
    }
}

impl<T> Buffer<T> for Queue<T> {
    type Place = usize;

    fn push(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut values = self.values.lock();
        if self.state.load(Relaxed) & CLOSED != 0 {
            return Err(TrySendError::Disconnected(value));
        }
        values.push_back(value);
        self.state.fetch_add(ONE, SeqCst);
        Ok(())
    }

    fn pop(&self) -> Result<T, TryRecvError> {
        let state = self.state.load(SeqCst);
        if state <= CLOSED {
            return Err(if state == CLOSED { TryRecvError::Disconnected } else { TryRecvError::Empty });
        }
        let mut values = self.values.lock();
        match values.pop_front() {
            Some(value) => {
                self.pops.fetch_add(1, Relaxed);
                self.state.fetch_sub(ONE, SeqCst);
                Ok(value)
            }
            None if self.is_closed() => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        if self.is_closed() { Err(TrySendError::Disconnected(())) } else { Ok(0) }
    }

    fn fill(&self, _: usize, value: T) -> Result<(), T> {
        self.push(value).map_err(TrySendError::into_inner)
    }

    fn give_back(&self, _: usize) {}

    fn close(&self) -> bool {
        let _values = self.values.lock();
        self.state.fetch_or(CLOSED, SeqCst) & CLOSED == 0
    }

    fn is_closed(&self) -> bool {
        self.state.load(SeqCst) & CLOSED != 0
    }

    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn len(&self) -> usize {
        self.state.load(SeqCst) / ONE
    }

    fn may_pop(&self) -> bool {
        model_fence();
        self.state.load(SeqCst) != 0
    }

    fn may_push(&self) -> bool {
        true
    }

    fn pops(&self) -> usize {
        self.pops.load(SeqCst)
    }

    fn pushes(&self) -> usize {
        self.pops.load(SeqCst)
    }
}
