//! A number of tasks that wait for each other, again and again.
//!
//! ```text
//!   wait:   arrived + 1 ──┬── not all: sleep until the round is over ──▶ not the leader
//!                         │        └── cancelled before: arrived - 1
//!                         └── all: arrived = 0, round + 1, wake all ──▶ the leader
//! ```
//!
//! * B1  `arrived` counts who is in this round and has neither gone nor been let go; it stays below `parties`.
//! * B2  A round ends in one step under the lock. Who arrived in it is let go whatever comes: a cancel after that takes
//!   nothing back.

use crate::{
    park::{self, Tick, TimedOut, Why},
    queue::WaitQueue,
    sleeper::{HasSleepers, Sleeper, wake_all},
    spin::{SpinMutex, SpinMutexGuard},
    sync::const_unless_loom,
};
use core::{
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// Lets a number of tasks go on together: each sleeps until the last one is there. Then it can be used for the next round.
///
/// # Fairness
///
/// The last to arrive is the leader of the round; all others are woken in the order they came. Who arrives while they wake
/// belongs to the next round.
///
/// # Cost
///
/// One short lock to arrive, one to leave; the last one takes one more for each 16 who sleep. No allocation ever.
///
/// # Progress
///
/// The short lock is held for a few instructions. Not for interrupt handlers.
///
/// # Examples
///
/// ```
/// use greenlight_core::Barrier;
///
/// static BARRIER: Barrier = Barrier::new(3);
///
/// let others = [0; 2].map(|_| std::thread::spawn(|| BARRIER.wait().is_leader()));
/// let leads = BARRIER.wait().is_leader();
/// let leaders = others.map(|other| other.join().unwrap()).into_iter().filter(|leads| *leads).count();
/// assert_eq!(leaders + usize::from(leads), 1);
/// ```
pub struct Barrier {
    parties: usize,
    round: SpinMutex<Round>,
}

struct Round {
    arrived: usize,
    /// It may wrap: nobody sleeps through all of them.
    number: usize,
    sleepers: WaitQueue<()>,
}

impl HasSleepers for Round {
    fn sleepers(&mut self) -> &mut WaitQueue<()> {
        &mut self.sleepers
    }
}

/// What a wait at a [`Barrier`] brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    leads: bool,
}

impl BarrierWaitResult {
    /// Whether this was the last to arrive: one in each round is.
    pub fn is_leader(&self) -> bool {
        self.leads
    }
}

impl Barrier {
    const_unless_loom! {
        /// A barrier for `parties` tasks. For none, as for one, nobody ever waits.
        pub fn new(parties: usize) -> Self {
            let round = Round { arrived: 0, number: 0, sleepers: WaitQueue::new() };
            Self { parties, round: SpinMutex::new(round) }
        }
    }

    /// Arrives, and sleeps until all have arrived.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        self.wait_until(None, Location::caller()).expect("no time limit")
    }

    /// Arrives if all others have: it never sleeps. Else nothing, and it has not arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = greenlight_core::Barrier::new(2);
    /// assert!(barrier.try_wait().is_none());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| barrier.wait());
    ///     while barrier.try_wait().is_none() {
    ///         std::thread::yield_now();
    ///     }
    /// });
    /// ```
    pub fn try_wait(&self) -> Option<BarrierWaitResult> {
        let round = self.round.lock();
        (round.arrived + 1 >= self.parties).then(|| self.lead(round))
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up: then it has not arrived, and the others wait for somebody else.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<BarrierWaitResult, TimedOut> {
        self.wait_until(park::deadline_after(limit), Location::caller())
    }

    /// [`wait`](Self::wait), as a future. It arrives in its first poll.
    ///
    /// # Cancellation
    ///
    /// Dropped before the last one arrives, it has not arrived: the others wait for somebody else. Leaked, it has.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let barrier = greenlight_core::Barrier::new(2);
    /// let mut wait = pin!(barrier.wait_async());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(wait.as_mut().poll(&mut context).is_pending());
    /// assert!(barrier.wait().is_leader());
    /// assert!(wait.poll(&mut context).is_ready());
    /// ```
    pub fn wait_async(&self) -> BarrierWait<'_> {
        BarrierWait { barrier: self, sleeper: Sleeper::new(&self.round), stage: Stage::Fresh }
    }

    fn wait_until(
        &self,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Result<BarrierWaitResult, TimedOut> {
        park::give_way();
        let arrival = match self.arrive() {
            Ok(arrival) => arrival,
            Err(leads) => return Ok(leads),
        };
        let why = Why::new("wait at a barrier", self, site);
        let over = Sleeper::block(&self.round, &why, deadline, |round| arrival.is_over(round).then_some(()));
        match over {
            Some(()) => Ok(BarrierWaitResult { leads: false }),
            None if arrival.withdraw() => Err(TimedOut),
            None => Ok(BarrierWaitResult { leads: false }), // the last one came at the last moment
        }
    }

    /// Arrives, and leads if that ends the round.
    fn arrive(&self) -> Result<Arrival<'_>, BarrierWaitResult> {
        let mut round = self.round.lock();
        if round.arrived + 1 >= self.parties {
            return Err(self.lead(round));
        }
        round.arrived += 1;
        Ok(Arrival { barrier: self, round: round.number })
    }

    /// All are there: ends the round (B2).
    fn lead<'a>(&'a self, mut round: SpinMutexGuard<'a, Round>) -> BarrierWaitResult {
        round.arrived = 0;
        round.number = round.number.wrapping_add(1);
        wake_all(&self.round, round);
        BarrierWaitResult { leads: true }
    }
}

/// An arrival that counts in its round, until that is over. Dropped before, it does not.
struct Arrival<'a> {
    barrier: &'a Barrier,
    round: usize,
}

impl Arrival<'_> {
    fn is_over(&self, round: &Round) -> bool {
        round.number != self.round
    }

    /// Takes it back. False if the round is over.
    fn withdraw(self) -> bool {
        let over = self.take_back();
        core::mem::forget(self);
        !over
    }

    fn take_back(&self) -> bool {
        let mut round = self.barrier.round.lock();
        let over = self.is_over(&round);
        if !over {
            round.arrived -= 1; // B1
        }
        over
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

// It holds nothing that a panic could leave half-done.
impl RefUnwindSafe for Barrier {}
impl UnwindSafe for Barrier {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived = self.round.lock().arrived;
        f.debug_struct("Barrier").field("parties", &self.parties).field("arrived", &arrived).finish_non_exhaustive()
    }
}

/// The future of [`Barrier::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct BarrierWait<'a> {
    barrier: &'a Barrier,
    sleeper: Sleeper<'a, Round>,
    stage: Stage<'a>,
}

enum Stage<'a> {
    Fresh,
    Arrived(Arrival<'a>),
    Over,
}

impl BarrierWait<'_> {
    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

impl Future for BarrierWait<'_> {
    type Output = BarrierWaitResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        // SAFETY: nothing is moved out of it, and `sleeper` is pinned whenever we are.
        let (barrier, sleeper, stage) = unsafe {
            let this = self.get_unchecked_mut();
            (this.barrier, Pin::new_unchecked(&this.sleeper), &mut this.stage)
        };
        if let Stage::Fresh = stage {
            match barrier.arrive() {
                Ok(arrival) => *stage = Stage::Arrived(arrival),
                Err(leads) => {
                    *stage = Stage::Over;
                    return Poll::Ready(leads);
                }
            }
        }
        let Stage::Arrived(arrival) = stage else { panic!("a `BarrierWait` was polled after it was ready") };
        ready!(sleeper.poll(context.waker(), |round| arrival.is_over(round).then_some(())));
        *stage = Stage::Over;
        Poll::Ready(BarrierWaitResult { leads: false })
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("BarrierWait { .. }")
    }
}

#[cfg(feature = "futures")]
impl futures_core::FusedFuture for BarrierWait<'_> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
