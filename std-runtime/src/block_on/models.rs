//! A future's wakers against the caller, who polls it.

use super::*;
use loom::thread;

/// Two wake the future: after the last wake-up, if not before, a poll sees what both did. Fails if `wake` or the look is Relaxed, or if
/// `wake` stores instead of swapping.
#[test]
fn flag_brings_what_all_wakers_did() {
    loom::model(|| {
        let flag = Arc::new(Flag { woken: AtomicBool::new(false), caller: OnceLock::new() });
        let did: Arc<[AtomicBool; 2]> = Arc::default();
        let wakers = [0, 1].map(|i| {
            let (flag, did) = (flag.clone(), did.clone());
            thread::spawn(move || {
                did[i].store(true, Relaxed);
                flag.wake_by_ref();
            })
        });
        let both = || did.iter().all(|did| did.load(Relaxed));
        while !(flag.take() && both()) {
            thread::yield_now();
        }
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}
