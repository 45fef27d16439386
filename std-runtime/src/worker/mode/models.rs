//! A worker that falls asleep against those who bring work.

use super::*;
use loom::{sync::Arc, thread};

struct Place {
    mode: Mode,
    /// Relaxed: what makes the worker see it in time is W3.
    work: AtomicUsize,
}

fn place() -> Arc<Place> {
    Arc::new(Place { mode: Mode::new(), work: AtomicUsize::new(0) })
}

impl Place {
    fn bring(&self) {
        self.work.fetch_add(1, Relaxed);
        self.mode.rouse();
    }

    fn take(&self) -> usize {
        self.work.swap(0, Relaxed)
    }

    /// Takes `count` pieces of work, asleep in between.
    fn work(&self, count: usize) {
        let mut done = self.take();
        while done < count {
            if self.mode.fall_asleep(false, || self.work.load(Relaxed) > 0) {
                while self.mode.is_asleep() {
                    thread::yield_now();
                }
                self.mode.awake();
            }
            done += self.take();
        }
    }
}

/// One brings work while the worker falls asleep: it is not left there. Fails if `rouse` has no fence, if `fall_asleep` has
/// none, does not look again behind it, or stores instead of comparing; and if `rouse` gives up when the mode has changed.
#[test]
fn mode_leaves_no_work_with_a_sleeper() {
    loom::model(|| {
        let place = place();
        let bringer = {
            let place = place.clone();
            thread::spawn(move || place.bring())
        };
        place.work(1);
        bringer.join().unwrap();
    });
}

/// Two bring work, and the worker sleeps again in between. Fails as above.
#[test]
fn mode_sleeps_again_between_two_bringers() {
    loom::model(|| {
        let place = place();
        let bringers = [0; 2].map(|_| {
            let place = place.clone();
            thread::spawn(move || place.bring())
        });
        place.work(2);
        bringers.into_iter().for_each(|bringer| bringer.join().unwrap());
    });
}

/// A sleeper is woken by one of two. Fails if `rouse` stores instead of comparing.
#[test]
fn mode_is_roused_once() {
    loom::model(|| {
        let place = place();
        assert!(place.mode.fall_asleep(false, || false));
        let other = {
            let place = place.clone();
            thread::spawn(move || place.mode.rouse())
        };
        let mine = place.mode.rouse();
        let roused = [mine, other.join().unwrap()];
        assert!(roused.contains(&Roused::Sleeper) && roused.contains(&Roused::Nobody));
        assert!(place.mode.is_waking() && !place.mode.is_asleep());
    });
}

/// A spin is ended once: by the worker itself, or by one of two who bring work. Fails if `rouse` or `end_spin` stores instead of
/// comparing, or swapping.
#[test]
fn mode_ends_a_spin_once() {
    loom::model(|| {
        let place = place();
        place.mode.spin();
        let others = [0; 2].map(|_| {
            let place = place.clone();
            thread::spawn(move || place.mode.rouse())
        });
        let mine = place.mode.end_spin();
        let ends = others.map(|other| other.join().unwrap() == Roused::Spinner);
        assert_eq!(usize::from(mine) + ends.iter().filter(|ended| **ended).count(), 1);
    });
}
