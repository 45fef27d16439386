//! Models of the lines' lock by itself: the orderings of a buffer would hide what is missing here.

use super::*;
use crate::{queue::Waiter, turn::Turn};
use loom::thread;
use std::sync::Arc;

fn spawn<S: 'static, R: 'static>(shared: &Arc<S>, run: impl FnOnce(&S) -> R + 'static) -> thread::JoinHandle<R> {
    let shared = shared.clone();
    thread::spawn(move || run(&shared))
}

/// Does the work, gives the lock back, and does what others left meanwhile.
fn work_and_release(held: Held<'_, u32>, work: impl Fn()) {
    let mut held = Some(held);
    while let Some(more) = held {
        work();
        held = more.release();
    }
}

/// Two holders, each by one of the two ways, see what the other wrote.
#[test]
fn lines_holders_see_each_other() {
    loom::model(|| {
        let shared = Arc::new((Lines::<u32>::new(), UnsafeCell::new(0)));
        let add_one = |cell: &UnsafeCell<u32>| {
            // SAFETY: under the lock, which is what the checker checks.
            cell.with_mut(|cell| unsafe { *cell += 1 });
        };
        let other = spawn(&shared, move |(lines, cell)| {
            let held = lines.try_lock();
            held.map(|held| work_and_release(held, || add_one(cell)));
        });
        if let Some(held) = shared.0.visit() {
            work_and_release(held, || add_one(&shared.1));
        }
        other.join().unwrap();
    });
}

/// Two visitors and a holder: whoever finds the lines locked leaves his work, and its holder sees what there is to do.
#[test]
fn lines_left_work_is_done() {
    loom::model(|| {
        let shared = Arc::new((Lines::<u32>::new(), [(); 2].map(|()| AtomicUsize::new(0))));
        let work = |marks: &[AtomicUsize; 2]| {
            marks.iter().filter(|mark| mark.load(Relaxed) == 1).for_each(|mark| mark.store(2, Relaxed));
        };
        let held = shared.0.lock();
        let visitors = [0, 1].map(|me| {
            spawn(&shared, move |(lines, marks)| {
                marks[me].store(1, Relaxed);
                if let Some(held) = lines.visit() {
                    work_and_release(held, || work(marks));
                }
            })
        });
        work_and_release(held, || work(&shared.1));
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
        assert!(shared.1.iter().all(|mark| mark.load(Relaxed) == 2), "some work was left to nobody");
    });
}

/// N3 and B4: of one who enlists and then looks at the buffer, and one who changes the buffer and then looks at the flags, one
/// sees the other. The word's last values are written SeqCst here (see `buffer/models.rs`): the lock is held from the start.
#[test]
fn lines_waiter_meets_a_change() {
    loom::model(|| {
        let shared = Arc::new((Lines::<u32>::new(), AtomicUsize::new(0)));
        let (turn, seat) = (Turn::new(), Seat::new(Kind::Value, None));
        let waiter = Waiter::new(&turn, 0, seat);
        let mut held = shared.0.lock();
        // SAFETY: in no line; removed below.
        unsafe { held.receivers.push_back(&waiter) };
        shared.0.word.fetch_or(0, SeqCst);
        shared.1.fetch_add(0, SeqCst);
        let changer = spawn(&shared, |(lines, buffer)| {
            buffer.fetch_add(1, SeqCst);
            lines.flags() & RECEIVERS != 0
        });
        assert!(held.release().is_none());
        let seen = shared.1.load(SeqCst) == 1;
        assert!(changer.join().unwrap() || seen, "asleep beside what he waits for");
        let mut held = shared.0.lock();
        // SAFETY: it is in this line.
        assert!(unsafe { held.receivers.remove(&waiter) });
        assert!(held.release().is_none());
    });
}

/// Of the last receiver, who says that what is in the buffer is to be dropped and then looks what is there, and one who puts
/// something in and then looks at the flags, one sees the other.
#[test]
fn lines_discard_meets_a_push() {
    loom::model(|| {
        let shared = Arc::new((Lines::<u32>::new(), AtomicUsize::new(0)));
        shared.0.word.fetch_or(0, SeqCst);
        shared.1.fetch_add(0, SeqCst);
        let pusher = spawn(&shared, |(lines, buffer)| {
            buffer.fetch_add(1, SeqCst);
            lines.flags() & DISCARD != 0
        });
        shared.0.discard();
        let seen = shared.1.load(SeqCst) == 1;
        assert!(pusher.join().unwrap() || seen, "a value that nobody drops");
    });
}
