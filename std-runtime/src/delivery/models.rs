//! A call that ends against its handle.

use super::*;
use loom::thread;

/// Who sees that the call has ended finds its result there, and sees what it did. It does not tell the orderings apart: weaker ones
/// pass, too, as the result lies behind a lock.
#[test]
fn delivery_finished_means_delivered() {
    loom::model(|| {
        let done = Arc::new(AtomicBool::new(false));
        let does = done.clone();
        let (call, mut delivery) = pack(move || {
            does.store(true, Relaxed);
            7
        });
        let runs = thread::spawn(call);
        thread::yield_now(); // the checker does not try by itself what a first look finds after the other's end
        if delivery.is_finished() {
            assert!(done.load(Relaxed));
            assert!(matches!(delivery.try_join(), Some(Ok(7))));
        } else {
            assert!(matches!(delivery.join(), Ok(7)));
        }
        runs.join().unwrap();
    });
}
