//! A worker's poller: the kernel's list of its sockets (epoll), and a bell to wake whoever sleeps in it (eventfd).
//!
//! ```text
//!   Handle::register ──▶ add ──▶ ┌ epoll ───────────────┐ ──▶ serve, wait ──▶ source::happen ──▶ wakes tasks
//!                                │ sockets, each once,  │
//!             ring ─────────────▶│ edge-triggered; bell │
//!                                └──────────────────────┘
//! ```
//!
//! One for each worker: a green thread stays with its worker, so its sockets' events come to the thread that runs it, and wake
//! it without another thread.
//!
//! * E1  Any thread may serve, at any time, several at once: an event goes to one of them. So a worker that is stuck in a
//!   system call does not hold up its sockets, if somebody serves for it.
//! * E2  No foreign code runs under the lock: the events are taken out of it, then the wakers are called.
//! * E3  Made with the first socket, by whoever brings it; closed by its worker, at its end, when it is no longer in `wait`.
//!   Whoever finds it closed goes to another.
//!
//! Straight on epoll, not by `mio`: its `Poll` is `&mut` while it waits, so a lock would be held during the sleep, and a third
//! descriptor be needed to add sockets meanwhile; and it knows no time limit below a millisecond.

use super::source::{self, Happened};
use crate::{
    header::discard,
    worker::{self, Worker},
};
use rustix::{
    event::{
        EventfdFlags, PollFd, PollFlags, Timespec,
        epoll::{self, EventFlags as Flags},
        eventfd,
    },
    io::Errno,
};
use std::{
    io,
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicUsize, Ordering::*},
    },
    time::Duration,
};

/// How many events are taken out at once.
const BATCH: usize = 64;
/// Of the bell.
const BELL: u64 = u64::MAX;
/// The kernel counts a sleep in milliseconds, and sleeps the last bit of it in another way.
const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) struct Poller {
    state: RwLock<State>,
    /// Of two who find it unused, one opens it: the other must not ask for the state's lock to write, in which the worker may
    /// sleep by then, whom nobody could wake.
    opening: Mutex<()>,
    /// How many sockets are registered.
    ///
    /// | operation        | order   | pairs with | so that                                                              |
    /// |------------------|---------|------------|----------------------------------------------------------------------|
    /// | add, remove      | Relaxed | nothing    | a count that is late costs a system call, or a look: a worker that   |
    /// | look             | Relaxed | nothing    | has nothing else to do waits in the poller, whatever the count says  |
    sockets: AtomicUsize,
}

enum State {
    Unused,
    Open(Open),
    Closed,
}

struct Open {
    epoll: OwnedFd,
    bell: OwnedFd,
}

/// What became of a socket that was to be added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    Yes,
    /// The worker may be asleep without knowing that it has a poller now.
    AsTheFirst,
    /// The worker has ended.
    Ended,
}

impl Poller {
    pub(crate) const fn new() -> Self {
        Self { state: RwLock::new(State::Unused), opening: Mutex::new(()), sockets: AtomicUsize::new(0) }
    }

    // ---- from any thread ------------------------------------------------------------------------------------------

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a worker that sleeps is to sleep in it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(_))
    }

    /// Whether it is worth a system call.
    pub(crate) fn has_sockets(&self) -> bool {
        self.sockets.load(Relaxed) > 0
    }

    pub(super) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<Added> {
        let mut first = false;
        loop {
            match &*self.state() {
                State::Closed => return Ok(Added::Ended),
                State::Unused => {}
                State::Open(open) => {
                    let flags = Flags::IN | Flags::PRI | Flags::RDHUP | Flags::OUT | Flags::ET;
                    epoll::add(&open.epoll, fd, epoll::EventData::new_u64(token), flags)?;
                    self.sockets.fetch_add(1, Relaxed);
                    return Ok(if first { Added::AsTheFirst } else { Added::Yes });
                }
            }
            let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*self.state(), State::Unused) {
                let open = Open::new()?;
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                // Not if the worker has ended meanwhile.
                if matches!(*state, State::Unused) {
                    *state = State::Open(open);
                    first = true;
                }
            }
        }
    }

    /// A socket goes which the poller, since it is closed, knows no more.
    pub(super) fn forget(&self) {
        self.sockets.fetch_sub(1, Relaxed);
    }

    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        self.forget();
        if let State::Open(open) = &*self.state() {
            // It is there; if not, there is nothing to do.
            let _ = epoll::delete(&open.epoll, fd);
        }
    }

    /// Wakes the worker that sleeps in [`wait`](Self::wait), or is about to.
    pub(crate) fn ring(&self) {
        if let State::Open(open) = &*self.state() {
            open.ring();
        }
    }

    /// Wakes whom the events so far are for. Never waits. True if there was an event. For the worker.
    #[inline(never)] // its buffer is on the stack of whoever calls
    pub(crate) fn serve(&self) -> bool {
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        let events = match &*self.state() {
            State::Open(open) => open.take(&mut buffer, Some(Duration::ZERO)),
            _ => &[],
        };
        deliver(events)
    }

    /// [`serve`](Self::serve), by somebody else than the worker. If he took the bell's event, he rings again: the worker may be
    /// asleep here by now, and the ring was for it.
    pub(crate) fn serve_for_its_worker(&self) {
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        let events = match &*self.state() {
            State::Open(open) => {
                let events = open.take(&mut buffer, Some(Duration::ZERO));
                if events.iter().any(|event| event.data.u64() == BELL) {
                    open.ring();
                }
                events
            }
            _ => &[],
        };
        deliver(events);
    }

    // ---- on the worker's thread -----------------------------------------------------------------------------------

    /// Sleeps until there is an event, the bell rings, or `limit` is over; it may return early. `rise` is called before the
    /// first event is delivered.
    pub(crate) fn wait(&self, limit: Option<Duration>, rise: impl FnOnce()) {
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        let events = match &*self.state() {
            State::Open(open) => open.take(&mut buffer, limit),
            _ => &[],
        };
        if events.iter().any(|event| event.data.u64() != BELL) {
            rise();
            deliver(events);
        }
    }

    /// Waits until `io` is ready, for `limit` at most, and serves the others meanwhile: for a green thread that cannot let others
    /// run.
    pub(super) fn wait_beside(&self, io: PollFd<'_>, limit: &Timespec) {
        match &*self.state() {
            State::Open(open) => {
                let mut fds = [io, PollFd::new(&open.epoll, PollFlags::IN)];
                let _ = rustix::event::poll(&mut fds, Some(limit));
            }
            _ => _ = rustix::event::poll(&mut [io], Some(limit)),
        }
        self.serve();
    }

    /// A spare worker begins another life.
    pub(crate) fn reopen(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Closed) {
            *state = State::Unused;
        }
    }

    /// No socket any more (E3).
    pub(crate) fn close(&self, worker: &'static Worker) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
        source::abandon(worker);
    }
}

/// E2. True if there was one, but for the bell's.
fn deliver(events: &[epoll::Event]) -> bool {
    if !events.iter().any(|event| event.data.u64() != BELL) {
        return false;
    }
    match worker::current() {
        Some(worker) => worker.deliver(|| wake_all(events)),
        None => wake_all(events),
    }
    true
}

fn wake_all(events: &[epoll::Event]) {
    for event in events.iter().filter(|event| event.data.u64() != BELL) {
        let flags = event.flags;
        let ends = flags.intersects(Flags::HUP | Flags::ERR);
        let event_says = Happened {
            readable: ends || flags.intersects(Flags::IN | Flags::PRI | Flags::RDHUP),
            writable: ends || flags.contains(Flags::OUT),
            suspect: ends || flags.intersects(Flags::PRI | Flags::RDHUP),
        };
        // A waker that panics is nobody's fault here; the hook has reported it.
        discard(|| source::happen(event.data.u64(), event_says));
    }
}

impl Open {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: each ring is an event, and nobody has to read.
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), Flags::IN | Flags::ET)?;
        Ok(Self { epoll, bell })
    }

    fn ring(&self) {
        // Full only after 2^64 rings, and then it has rung.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn take<'b>(
        &self,
        buffer: &'b mut [MaybeUninit<epoll::Event>; BATCH],
        limit: Option<Duration>,
    ) -> &'b [epoll::Event] {
        let limit = match limit {
            // The whole milliseconds first; the rest is slept when there is nothing else left.
            Some(limit) if limit >= MILLISECOND => Some(Duration::from_millis(u64_millis(limit))),
            Some(limit) if !limit.is_zero() => {
                let mut fds = [PollFd::new(&self.epoll, PollFlags::IN)];
                let _ = rustix::event::poll(&mut fds, Some(&timespec(limit)));
                Some(Duration::ZERO)
            }
            other => other,
        };
        match epoll::wait(&self.epoll, &mut buffer[..], limit.map(timespec).as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => &[],
            Err(error) => unreachable!("epoll_wait on a descriptor of our own: {error}"),
        }
    }
}

/// At most a day, which is early enough to look again.
fn u64_millis(limit: Duration) -> u64 {
    limit.as_millis().min(24 * 3600 * 1000) as u64
}

fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}
