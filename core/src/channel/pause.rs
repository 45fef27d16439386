//! A moment's pause before a call waits in line: the other side may be at work on another CPU.
//!
//! Where it is, a pause costs less than a wait, which both sides would have to see to; and since it lets the other side do a few
//! operations undisturbed, the lines of memory between them cross once for all of those. Where it is not, because both share a CPU,
//! a pause is lost. So a channel remembers for each side how the last ones ended, and leaves them out for a while when they came
//! to nothing.
//!
//! * A1  Only a try comes after it, as one came before: it changes nothing of who may go before whom.

use crate::sync::plain::{AtomicU32, Ordering::*};

/// As many turns of a spin loop, of some 25 ns each, with a buffer that is worth it.
const LONGEST: usize = 32;
/// So many pauses in vain end them.
const CREDIT: u32 = 16;
/// For so many waits; then comes one to try.
const REST: u32 = 256;

/// The buffer is not worth it.
const NEVER: u32 = u32::MAX;

/// | operation | order   | so that                                         |
/// |-----------|---------|-------------------------------------------------|
/// | both      | Relaxed | nothing: a guess, and the last who wrote is right |
pub(super) struct Pause {
    /// Up to `CREDIT`: how many more may be in vain. Beyond it: how many waits are left to rest.
    credit: AtomicU32,
}

impl Pause {
    pub(super) const fn new() -> Self {
        Self { credit: AtomicU32::new(1) }
    }

    /// Pauses, if that has been worth it lately: then the caller tries again, and says how that [`ended`](Self::ended).
    ///
    /// With few places there is little that the other side could do meanwhile.
    #[inline]
    pub(super) fn take(&self, places: impl FnOnce() -> usize) -> bool {
        let credit = self.credit.load(Relaxed);
        credit != NEVER && self.take_with(credit, places())
    }

    #[cold]
    #[inline(never)]
    fn take_with(&self, credit: u32, places: usize) -> bool {
        let turns = LONGEST.min(places / 2);
        // A model does not pause: the wait tries again as well.
        if cfg!(loom) || turns == 0 {
            self.credit.store(NEVER, Relaxed);
            return false;
        }
        if credit > CREDIT {
            self.credit.store(if credit == CREDIT + 1 { 1 } else { credit - 1 }, Relaxed);
            return false;
        }
        (0..turns).for_each(|_| core::hint::spin_loop());
        true
    }

    pub(super) fn ended(&self, well: bool) {
        let credit = self.credit.load(Relaxed);
        let next = match well {
            true => CREDIT,
            false if credit <= 1 => CREDIT + REST,
            false => credit - 1,
        };
        // Not for nothing: it may be on a line that others read.
        if next != credit {
            self.credit.store(next, Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// How many of so many attempts are made.
    fn attempts(pause: &Pause, waits: u32, succeed: bool) -> u32 {
        let mut made = 0;
        for _ in 0..waits {
            if pause.take(|| 128) {
                made += 1;
                pause.ended(succeed);
            }
        }
        made
    }

    #[test]
    fn pauses_in_vain_become_rare_and_those_that_help_come_back() {
        let pause = Pause::new();
        assert_eq!(attempts(&pause, 1 + REST, false), 1, "a new one tries once");
        assert_eq!(attempts(&pause, 1 + REST, false), 1, "then one in so many waits");
        assert_eq!(attempts(&pause, 100, true), 100);
        assert_eq!(attempts(&pause, CREDIT, false), CREDIT, "one in vain is not the end of it");
        assert_eq!(attempts(&pause, REST, false), 0);
        assert_eq!(attempts(&pause, 10, true), 10);
    }

    /// What a call does after a pause, whatever became possible meanwhile: no value is lost, and the pause is judged by it.
    #[cfg(feature = "std")]
    #[test]
    fn after_a_pause_a_call_does_what_it_came_for() {
        use crate::channel::bounded;
        use core::panic::Location;
        use std::thread;

        let (tx, rx) = bounded(2);
        let (senders, receivers) = (&tx.shared().pauses.0, &tx.shared().pauses.1);
        let judged = || [senders, receivers].map(|pause| pause.credit.load(Relaxed));
        let send = |value| tx.shared().send_wait(value, None, Location::caller());
        let recv = || rx.shared().recv_wait(None, Location::caller());
        assert_eq!((send(1), recv()), (Ok(()), Ok(1)));
        assert_eq!(judged(), [CREDIT; 2]);
        thread::scope(|scope| {
            // Nothing came of it: they wait.
            let receiver = scope.spawn(recv);
            while judged()[1] == CREDIT {
                thread::yield_now();
            }
            tx.send(2).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(2));
        });
        [3, 4].into_iter().for_each(|value| tx.send(value).unwrap());
        thread::scope(|scope| {
            let sender = scope.spawn(|| send(5));
            while judged()[0] == CREDIT {
                thread::yield_now();
            }
            assert_eq!([(); 3].map(|()| rx.recv()), [Ok(3), Ok(4), Ok(5)]);
            assert_eq!(sender.join().unwrap(), Ok(()));
        });
        rx.close();
        assert_eq!(send(6).unwrap_err().into_inner(), 6);
        assert!(recv().is_err());
        assert_eq!(judged(), [CREDIT; 2]);
    }

    #[test]
    fn few_places_are_not_worth_it() {
        assert_eq!([0, 1, 2, usize::MAX].map(|places| Pause::new().take(|| places)), [false, false, true, true]);
        let rendezvous = Pause::new();
        assert!(!rendezvous.take(|| 0) && !rendezvous.take(|| unreachable!("it is known by now")));
    }
}
