//! How an OS thread sleeps: one parker a thread, and a census of the sleepers for deadlock detection.
//!
//! ```text
//!            before it sleeps            any waker
//!   AWAKE ───────────────────▶ ASLEEP ──────────────▶ NOTIFIED
//!    ▲ │                      (or TIMED)               ▲   │
//!    │ └──────────────── any waker ────────────────────┘   │
//!    └──────────────── the thread, each turn ──────────────┘
//! ```
//!
//! * T1  Only the parker's own thread leaves AWAKE for ASLEEP or TIMED, and NOTIFIED for AWAKE.
//! * T2  A thread that the census finds ASLEEP has been woken by nobody: whoever wakes it changes the state first.
//! * T3  `WAKES` moves after each wake that ended an ASLEEP, and before the waker itself can go to sleep. A census whose
//!   `wakes` is the same before and after it was taken is therefore a picture of one moment.

use super::{PollFn, Tick, TimedOut};
use crate::sync::plain::{AtomicU8, AtomicUsize, Ordering::*};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    task::{Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
    vec::Vec,
};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const TIMED: u8 = 2;
const NOTIFIED: u8 = 3;

/// How long a thread sleeps before it looks again whether anybody is left, at first and at last.
const FIRST_NAP: Duration = Duration::from_millis(10);
const LAST_NAP: Duration = Duration::from_millis(640);

/// What a thread does before it sleeps, to spare the kernel a sleep and a wake-up when the peer is quick: a few pauses for a
/// peer on another CPU, then yields for one that shares this CPU. Together about what one wake-up costs.
const PAUSES: u32 = 32;
const YIELDS: u32 = 64;

struct Parker {
    /// | operation       | order   | pairs with    | so that                                                   |
    /// |-----------------|---------|---------------|-----------------------------------------------------------|
    /// | wake            | SeqCst  | fall asleep,  | the sleeper sees what the waker did; the census is one    |
    /// | fall asleep     | SeqCst  | turn, census  | total order (a deadlock is claimed on the strength of it) |
    /// | turn to AWAKE   | SeqCst  | wake          | the next poll sees what every waker so far did            |
    state: AtomicU8,
    thread: Thread,
}

/// Wakes that ended a sleep without a deadline.
static WAKES: AtomicUsize = AtomicUsize::new(0);
static PARKERS: Mutex<Vec<Weak<Parker>>> = Mutex::new(Vec::new());

impl Parker {
    /// Stays awake for a while. True if somebody woke it meanwhile. Not by yields if it has a deadline: where others keep the
    /// CPUs busy, each may take milliseconds.
    fn linger(&self, has_deadline: bool) -> bool {
        (0..if has_deadline { PAUSES } else { PAUSES + YIELDS }).any(|turn| {
            if turn < PAUSES {
                core::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
            self.state.load(Relaxed) == NOTIFIED
        })
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.swap(NOTIFIED, SeqCst) {
            ASLEEP => {
                WAKES.fetch_add(1, SeqCst);
                self.thread.unpark();
            }
            TIMED => self.thread.unpark(),
            _ => {}
        }
    }
}

fn new_parker() -> Arc<Parker> {
    let parker = Arc::new(Parker { state: AtomicU8::new(AWAKE), thread: std::thread::current() });
    let mut parkers = PARKERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Each newcomer sweeps out the threads that have ended, so the list is as long as there are threads.
    parkers.retain(|parker| parker.strong_count() > 0);
    parkers.push(Arc::downgrade(&parker));
    parker
}

std::thread_local! {
    static PARKER: Arc<Parker> = new_parker();
}

/// Sleeps until `poll` says `Ready`, parking the OS thread between the polls. `on_sleep` runs when the thread
/// has slept for a little while without a deadline, and counts as asleep: the place to look for a deadlock. While it answers
/// true, it is asked again a few times, ever more rarely: somebody else may be about to end. It must not unwind.
///
/// # Errors
///
/// [`TimedOut`] once `deadline` has passed and the poll after that still said `Pending`.
pub fn wait(deadline: Option<Tick>, poll: &mut PollFn<'_>, on_sleep: impl Fn() -> bool) -> Result<(), TimedOut> {
    // In the destructor of another thread-local, ours may be gone: then this wait has a parker of its own.
    let parker = PARKER.try_with(Arc::clone).unwrap_or_else(|_| new_parker());
    let waker = Waker::from(parker.clone());
    loop {
        // A stale wake-up from before this wait costs one poll more.
        parker.state.swap(AWAKE, SeqCst);
        if poll(&waker).is_ready() {
            return Ok(());
        }
        let left = match deadline {
            None => None,
            Some(deadline) => match deadline.checked_sub(super::now()) {
                None | Some(0) => return Err(TimedOut),
                Some(left) => Some(Duration::from_nanos(left)),
            },
        };
        if parker.linger(left.is_some()) {
            continue;
        }
        let asleep = if left.is_some() { TIMED } else { ASLEEP };
        if parker.state.compare_exchange(AWAKE, asleep, SeqCst, SeqCst).is_err() {
            continue; // woken since the poll began
        }
        match left {
            Some(left) => std::thread::park_timeout(left),
            None => {
                // A short sleep costs no look.
                let mut nap = FIRST_NAP;
                std::thread::park_timeout(nap);
                while parker.state.load(SeqCst) == ASLEEP && on_sleep() && nap <= LAST_NAP {
                    nap *= 2;
                    std::thread::park_timeout(nap);
                }
                while parker.state.load(SeqCst) == ASLEEP {
                    std::thread::park();
                }
            }
        }
    }
}

/// How many OS threads sleep in [`wait`] without a deadline, and how many such sleeps have ever been ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Threads that only a wake-up can wake, and that nobody has woken yet.
    pub asleep: usize,
    /// Goes up with each wake-up of such a thread.
    pub wakes: usize,
}

/// Counts the sleepers. Two censuses in a row that are equal show one moment.
pub fn census() -> Census {
    let wakes = WAKES.load(SeqCst);
    let parkers = PARKERS.lock().unwrap_or_else(PoisonError::into_inner);
    let asleep = parkers.iter().filter_map(Weak::upgrade).filter(|p| p.state.load(SeqCst) == ASLEEP).count();
    Census { asleep, wakes }
}

/// Nanoseconds since the first call: std's monotonic clock.
pub fn now() -> Tick {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // 584 years of uptime fit.
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::Poll;

    #[test]
    fn the_census_counts_who_sleeps_without_a_deadline() {
        let (asleep, is_asleep) = std::sync::mpsc::channel();
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let sleeper = {
            let waker = waker.clone();
            let mut polls = 0;
            std::thread::spawn(move || {
                let mut poll = |w: &Waker| {
                    *waker.lock().unwrap() = Some(w.clone());
                    polls += 1;
                    if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
                };
                wait(None, &mut poll, || {
                    asleep.send(()).unwrap();
                    false
                })
            })
        };
        is_asleep.recv().unwrap();
        let before = census();
        assert!(before.asleep >= 1);
        waker.lock().unwrap().take().unwrap().wake();
        assert!(census().wakes > before.wakes);
        sleeper.join().unwrap().unwrap();
    }
}
