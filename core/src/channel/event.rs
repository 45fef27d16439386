//! A future as an arm of a select: whatever a program can await, it can wait for beside channels.
//!
//! The arm stands in no line of a channel. It is asked at first without a waker that counts, with the other arms; then with the
//! sleeper's, before those enlist; and again after each wake-up (S5 in `select.rs`). It is dropped when another arm is
//! chosen, before the program's code goes on: a future that has its place in the line for a lock must not be given the lock
//! while nobody asks it.

use super::{
    macros::Chosen,
    select::{Arm, Meeting},
};
use crate::{park, queue::Wakers, turn::Turn};
use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// `wait(future) -> …`
pub struct EventArm<'a, F: Future> {
    future: Pin<&'a mut Option<F>>,
    output: Option<F::Output>,
}

/// The arm of a future that is pinned in the frame of its `select!`.
pub fn wait_arm<F: Future>(future: Pin<&mut Option<F>>) -> EventArm<'_, F> {
    EventArm { future, output: None }
}

impl<F: Future> EventArm<'_, F> {
    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        future.poll(&mut Context::from_waker(waker)).map(|output| self.output = Some(output))
    }
}

impl<F: Future> Drop for EventArm<'_, F> {
    fn drop(&mut self) {
        self.retire();
    }
}

impl<F: Future> Chosen for EventArm<'_, F> {
    type Output = F::Output;

    fn finish(&mut self) -> F::Output {
        self.output.take().unwrap_or_else(|| unreachable!("a future that was not chosen"))
    }
}

// SAFETY: it has no lock, which is what the order 0 says, and is never enlisted.
unsafe impl<F: Future> Arm for EventArm<'_, F> {
    fn lock_order(&self) -> usize {
        0
    }

    fn attempt(&mut self) -> bool {
        self.poll(park::NOBODY).is_ready()
    }

    /// Nobody takes from another what a future waits for.
    fn version(&self) -> usize {
        0
    }

    fn lock(&mut self) -> *mut () {
        core::ptr::null_mut()
    }

    unsafe fn attach(&mut self, _: *mut ()) {}

    unsafe fn meet(&mut self, _: &mut Wakers) -> Meeting {
        Meeting::Nobody
    }

    unsafe fn enlist(&mut self, _: &Turn, _: u32) {}

    fn release(&mut self) {}

    fn look(&mut self) -> bool {
        false
    }

    fn withdraw(&mut self) {}

    fn accept(&mut self) -> bool {
        false
    }

    fn pass_on(&mut self) {}

    fn ask(&mut self, waker: &Waker) -> Option<Poll<()>> {
        Some(self.poll(waker))
    }

    fn retire(&mut self) {
        self.future.set(None);
    }
}

#[cfg(all(test, loom))]
mod models;
