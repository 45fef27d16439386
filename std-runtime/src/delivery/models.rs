//! A call that ends against its handle.

use super::*;
use loom::thread;

/// Who sees that the call has ended finds its result there, and sees what it did. Fails if the end, or the look, is Relaxed.
///
/// Another thread looks than the one that made all this: after a yield, the checker shows no thread a value that it knew before.
#[test]
fn delivery_finished_means_delivered() {
    loom::model(|| {
        let done = Arc::new(AtomicBool::new(false));
        let does = done.clone();
        let (call, mut delivery) = pack(move || {
            does.store(true, Relaxed);
            7
        });
        let looks = thread::spawn(move || {
            thread::yield_now(); // the checker does not try by itself what a first look finds after the other's end
            if delivery.is_finished() {
                assert!(done.load(Relaxed));
                assert!(matches!(delivery.try_join(), Some(Ok(7))));
            } else {
                assert!(matches!(delivery.join(), Ok(7)));
            }
        });
        call();
        looks.join().unwrap();
    });
}
