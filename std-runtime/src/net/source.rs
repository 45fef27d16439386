//! What the poller knows of a socket, and who waits on it.
//!
//! ```text
//!   an event:   tick + 1 ─ wake all who are in line                                  (poller.rs calls it)
//!   a call:     seen = tick ─ system call ── done ──▶ return
//!                    ▲            └─ would block ─▶ register, once ─▶ in line until tick > seen ─┐
//!                    └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Nobody keeps a flag "readable" that could be wrong: an event only says "try again". Whoever tried in vain before it,
//! having seen the tick before he tried, hears of it. So do all who wait, since one event may stand for bytes, or
//! connections, that are enough for several.
//!
//! * N1  `tick` is read before the system call that says "would block", and the poller is edge-triggered: what comes after
//!   that call makes an event, which moves the tick. A registration makes an event if the socket is ready already.
//! * N2  A source is never freed, only used again, and a token that names it says for which use: `generation`. An event of an
//!   earlier use, still on its way while the socket was closed, changes nothing.
//! * N3  `at` says with whose poller the socket is registered. It is written under its lock together with what the poller is
//!   told. A worker that ends first closes its poller, to which nobody can add then, and after that walks through all
//!   sources: so it finds each that was added, and sends those who wait to look for another worker.
//! * N4  `drained` is the tick that a read of a TCP stream had seen which brought less than it had room for. Then there was no
//!   more, and while the tick is still that one, the next read need not try before it waits. What such a read does not show is the
//!   end, an error, or out-of-band data, which cuts it short. An event tells of each of them: if it came before the read, the
//!   socket is `suspect` for good, and nothing is taken for drained; if it comes after, it moves the tick.
//!
//! Not an `Arc` for each socket, with a reference of the poller's that is given back when no event can be on its way: the
//! poller would have to know when that is. Here a late event finds memory that is mapped, and of this type, for ever.

use super::{Closed, poller::Added};
use crate::{
    header::discard,
    time::driver::Alarm,
    worker::{self, Worker},
};
use greenlight_core::{
    Waitable, Waiting,
    park::{self, Tick},
};
use std::{
    io,
    os::fd::BorrowedFd,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::Waker,
    time::Duration,
};

/// Which of its two directions a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read = 0,
    Write = 1,
}

/// Aligned, so that readers and writers of one socket, on two CPUs, do not slow each other down.
#[repr(align(64))]
pub(super) struct Direction(Waitable<State>);

pub(super) struct State {
    tick: u64,
    generation: u32,
    closed: bool,
    /// `Tick::MAX`: none.
    deadline: Tick,
    timeout: Option<Duration>,
    /// N4. `u64::MAX`: it is not.
    drained: u64,
    suspect: bool,
    /// Of a reader or writer that is polled, and has no place of its own in the line: one for each direction.
    polled: Option<Polled>,
}

/// Woken by an event, or at the deadline. Foreign code, so dropped without the lock.
struct Polled {
    waker: Waker,
    _at_the_deadline: Alarm,
}

/// What a call sees before it tries.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    tick: u64,
    /// It is in vain to try before the next event (N4).
    pub(super) drained: bool,
    pub(super) deadline: Option<Tick>,
    pub(super) timeout: Option<Duration>,
}

impl Direction {
    fn new(generation: u32) -> Self {
        Self(Waitable::new(State::new(generation)))
    }

    /// Before a try.
    ///
    /// # Errors
    ///
    /// If the socket is closed, or the deadline has passed.
    pub(super) fn begin(&self) -> io::Result<Seen> {
        let (closed, seen) = self.0.with(|state| {
            let deadline = Some(state.deadline).filter(|tick| *tick != Tick::MAX);
            let drained = state.drained == state.tick;
            (state.closed, Seen { tick: state.tick, drained, deadline, timeout: state.timeout })
        });
        if closed {
            return Err(Closed.into());
        }
        match seen.deadline.is_some_and(|deadline| park::now() >= deadline) {
            true => Err(deadline_passed()),
            false => Ok(seen),
        }
    }

    /// N4: a read of a TCP stream that had seen this much brought `len` bytes, and had room for so many.
    pub(super) fn has_read(&self, len: usize, room: usize, seen: Seen) {
        if 0 < len && len < room {
            self.0.with(|state| {
                if !state.suspect {
                    state.drained = seen.tick;
                }
            });
        }
    }

    /// Blocks until it is worth trying again. False if `deadline` has passed first.
    pub(super) fn wait(&self, seen: Seen, deadline: Option<Tick>, why: &park::Why) -> bool {
        self.0.wait(why, deadline, |state| (state.tick != seen.tick).then_some(())).is_some()
    }

    pub(super) fn waiting(&self) -> Waiting<'_, State> {
        self.0.waiting()
    }

    /// Has `waker` woken when it is worth trying again, or the deadline passes. False if it is already.
    pub(super) fn leave(&self, seen: Seen, waker: &Waker) -> bool {
        let mut alarm = Alarm::default();
        if let Some(deadline) = seen.deadline {
            alarm.set(deadline, waker);
        }
        let mut mine = Some(Polled { waker: waker.clone(), _at_the_deadline: alarm });
        let (left, old) = self.0.with(|state| {
            let left = state.tick == seen.tick;
            (left, if left { std::mem::replace(&mut state.polled, mine.take()) } else { None })
        });
        // Two tasks that poll one direction: the other tries again, and so on in turn. Nobody waits in vain.
        old.into_iter().filter(|old| !old.waker.will_wake(waker)).for_each(|old| old.waker.wake());
        left
    }

    fn happen(&self, generation: u32, suspect: bool) {
        self.retry(|state| {
            let mine = state.generation == generation;
            state.suspect |= mine && suspect;
            mine
        });
    }

    /// Sends all who wait back to try again, if `change` says so.
    fn retry(&self, change: impl FnOnce(&mut State) -> bool) {
        struct Wake(Option<Polled>);
        impl Drop for Wake {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(|polled| polled.waker.wake());
            }
        }
        // By `Drop`, so that it is woken though another's waker panics.
        let _polled = self.0.change(|state| {
            let retry = change(state);
            state.tick += u64::from(retry);
            Wake(if retry { state.polled.take() } else { None })
        });
    }

    pub(super) fn set_deadline(&self, deadline: Option<Tick>) {
        self.retry(|state| {
            state.deadline = deadline.unwrap_or(Tick::MAX);
            true
        });
    }

    pub(super) fn set_timeout(&self, timeout: Option<Duration>) {
        self.0.with(|state| state.timeout = timeout);
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.0.with(|state| state.timeout)
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.0.with(|state| Some(state.deadline).filter(|tick| *tick != Tick::MAX))
    }

    /// Nobody is to be woken any more who has [left](Self::leave) a waker.
    pub(super) fn forget(&self) {
        let old = self.0.with(|state| state.polled.take());
        drop(old); // foreign code, so without the lock
    }

    fn close(&self) {
        self.retry(|state| {
            state.closed = true;
            true
        });
    }

    fn is_awaited(&self) -> bool {
        self.0.has_waiters() || self.0.with(|state| state.polled.is_some())
    }
}

impl State {
    const fn new(generation: u32) -> Self {
        Self {
            tick: 0,
            generation,
            closed: false,
            deadline: Tick::MAX,
            timeout: None,
            drained: u64::MAX,
            suspect: false,
            polled: None,
        }
    }

    /// For a future in line: whether it is worth trying again.
    pub(super) fn has_moved(&self, seen: Seen) -> bool {
        self.tick != seen.tick
    }
}

fn deadline_passed() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the deadline of the socket has passed")
}

pub(super) struct Source {
    directions: [Direction; 2],
    index: u32,
    registration: Mutex<Registration>,
}

/// N2 and N3.
struct Registration {
    generation: u32,
    at: Option<&'static Worker>,
}

/// The use of a source by one socket.
pub(super) struct Handle(&'static Source);

impl Handle {
    pub(super) fn new() -> Self {
        Self(acquire())
    }

    pub(super) fn side(&self, side: Side) -> &'static Direction {
        &self.0.directions[side as usize]
    }

    /// Names the socket in reports.
    pub(super) fn object(&self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    /// Has the socket's events come here, if they do not already: by the poller of this worker; or, on a thread that is none or
    /// that a host's loop drives, of some worker of the global runtime.
    ///
    /// # Errors
    ///
    /// The system's: no descriptor is left for the poller, or this one cannot be polled.
    pub(super) fn register(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut registration = self.0.registration();
        let mut worker = worker::current().filter(|worker| !worker.is_hosted());
        while registration.at.is_none() {
            let mut candidate = worker.take().unwrap_or_else(some_worker);
            let token = u64::from(registration.generation) << 32 | u64::from(self.0.index);
            let added = candidate.poller.add(fd, token).or_else(|error| {
                // No descriptors are left for a poller of its own, perhaps: another worker's does as well.
                let open = candidate.shared.everybody().find(|other| other.poller.is_open());
                candidate = open.ok_or(error)?;
                candidate.poller.add(fd, token)
            });
            match added? {
                Added::Yes => registration.at = Some(candidate),
                Added::AsTheFirst => {
                    registration.at = Some(candidate);
                    candidate.rouse(); // it may sleep without the poller
                }
                Added::Ended => {}
            }
        }
        Ok(())
    }

    /// All calls fail from now on, those too that wait now.
    pub(super) fn close(&self) {
        self.0.directions.iter().for_each(Direction::close);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.side(Side::Read).0.with(|state| state.closed)
    }

    /// The socket is about to be closed, or to be somebody else's: no event for it any more.
    pub(super) fn release(&self, fd: BorrowedFd<'_>) {
        let source = self.0;
        let mut registration = source.registration();
        if let Some(worker) = registration.at.take() {
            worker.poller.remove(fd);
        }
        registration.generation = registration.generation.wrapping_add(1);
        let generation = registration.generation;
        drop(registration);
        for direction in &source.directions {
            let old = direction.0.with(|state| std::mem::replace(state, State::new(generation)));
            drop(old); // a waker, so without the lock
        }
        free().unused.push(source.index);
    }
}

impl Source {
    fn registration(&self) -> MutexGuard<'_, Registration> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker of the global runtime, each in its turn. It never ends.
fn some_worker() -> &'static Worker {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let workers = crate::runtime::global_workers();
    &workers[NEXT.fetch_add(1, Relaxed) % workers.len()]
}

// ---- the table of all sources ----------------------------------------------------------------------------------------

const FIRST_CHUNK: u32 = 64;

/// Each twice as long as the one before: none ever moves.
static CHUNKS: [OnceLock<Box<[Source]>>; 26] = [const { OnceLock::new() }; 26];

struct Free {
    unused: Vec<u32>,
    /// How many there are.
    made: u32,
}

static FREE: Mutex<Free> = Mutex::new(Free { unused: Vec::new(), made: 0 });

fn free() -> MutexGuard<'static, Free> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The chunk and the place in it.
fn place(index: u32) -> (usize, usize) {
    let number = index + FIRST_CHUNK;
    let chunk = number.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, (number - (FIRST_CHUNK << chunk)) as usize)
}

fn source(index: u32) -> Option<&'static Source> {
    let (chunk, place) = place(index);
    CHUNKS.get(chunk)?.get()?.get(place)
}

fn acquire() -> &'static Source {
    let index = {
        let mut free = free();
        free.unused.pop().unwrap_or_else(|| {
            free.made += 1;
            free.made - 1
        })
    };
    let (chunk, place) = place(index);
    let chunk = CHUNKS[chunk].get_or_init(|| {
        let first = (FIRST_CHUNK << chunk) - FIRST_CHUNK;
        let source = |index| Source {
            directions: [Direction::new(0), Direction::new(0)],
            index,
            registration: Mutex::new(Registration { generation: 0, at: None }),
        };
        (first..first + (FIRST_CHUNK << chunk)).map(source).collect()
    });
    &chunk[place]
}

/// All that were ever used.
fn all() -> impl Iterator<Item = &'static Source> {
    let made = free().made;
    (0..made).filter_map(source)
}

/// What an event says.
#[derive(Clone, Copy, Default)]
pub(super) struct Happened {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The end, an error, or out-of-band data (N4).
    pub(super) suspect: bool,
}

/// An event with this token: by the poller, which may come late (N2).
pub(super) fn happen(token: u64, event: Happened) {
    let generation = (token >> 32) as u32;
    let Some(source) = source(token as u32) else { return };
    for (side, happened) in [(Side::Read, event.readable), (Side::Write, event.writable)] {
        if happened {
            source.directions[side as usize].happen(generation, event.suspect);
        }
    }
}

/// N3: `worker` has closed its poller. Who waits for its events looks for another one.
pub(super) fn abandon(worker: &'static Worker) {
    for source in all() {
        let mut registration = source.registration();
        if registration.at.is_some_and(|at| std::ptr::eq(at, worker)) {
            registration.at = None;
            worker.poller.forget();
            drop(registration);
            // A waker that panics costs nobody else the wake-up, nor the worker its end.
            source.directions.iter().for_each(|direction| discard(|| direction.retry(|_| true)));
        }
    }
}

/// Whether there is somebody whom an event would wake.
pub(crate) fn anybody_waits() -> bool {
    all().any(|source| source.directions.iter().any(Direction::is_awaited))
}

#[cfg(all(test, not(loom)))]
mod tests;
