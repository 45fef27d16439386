use super::*;
use crate::net::Pollable;
use std::{
    os::fd::AsFd,
    os::unix::net::UnixStream,
    sync::Arc,
    task::{Wake, Waker},
};

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (count.clone(), count.into())
}

fn token(handle: &Handle) -> u64 {
    u64::from(handle.0.registration().generation) << 32 | u64::from(handle.0.index)
}

#[test]
fn places_follow_each_other() {
    let mut last = (0, usize::MAX);
    for index in 0..5000 {
        let here = place(index);
        assert!(here == (last.0, last.1.wrapping_add(1)) || here == (last.0 + 1, 0), "{index}: {here:?}");
        assert!(here.1 < 64 << here.0);
        last = here;
    }
}

#[test]
fn an_event_is_seen_by_who_tried_before_it_and_a_late_one_by_nobody() {
    let (a, _b) = UnixStream::pair().unwrap();
    let handle = Handle::new();
    let stale = token(&handle);
    let read = handle.side(Side::Read);
    let before = read.begin().unwrap();
    happen(stale, Happened { writable: true, ..Happened::default() });
    let (count, waker) = counted();
    assert!(read.leave(before, &waker), "an event of the other direction");
    happen(stale, Happened { readable: true, ..Happened::default() });
    assert_eq!(count.0.load(SeqCst), 1);
    assert!(!read.leave(before, &waker), "it has happened");

    handle.release(a.as_fd());
    let again = loop {
        // Other tests take sources too.
        let again = Handle::new();
        if again.0.index == handle.0.index {
            break again;
        }
        again.release(a.as_fd());
    };
    assert_ne!(token(&again), stale);
    let read = again.side(Side::Read);
    let before = read.begin().unwrap();
    assert!(read.leave(before, &waker));
    happen(stale, Happened { readable: true, writable: true, ..Happened::default() });
    assert_eq!(count.0.load(SeqCst), 1, "an event of its former life");
    happen(1 << 24, Happened { readable: true, writable: true, ..Happened::default() }); // nobody's
    happen(token(&again), Happened { readable: true, writable: true, ..Happened::default() });
    assert_eq!(count.0.load(SeqCst), 2);
    again.release(a.as_fd());
}

#[test]
fn what_is_drained_is_so_until_the_next_event_and_never_after_the_end() {
    let (a, _b) = UnixStream::pair().unwrap();
    let handle = Handle::new();
    let read = handle.side(Side::Read);
    let before = read.begin().unwrap();
    assert!(!before.drained);
    read.has_read(1, 2, before);
    assert!(read.begin().unwrap().drained);
    happen(token(&handle), Happened { readable: true, ..Happened::default() });
    assert!(!read.begin().unwrap().drained);
    read.has_read(1, 2, before); // an event came while it was reading
    assert!(!read.begin().unwrap().drained);
    happen(token(&handle), Happened { readable: true, suspect: true, ..Happened::default() });
    read.has_read(1, 2, read.begin().unwrap());
    assert!(!read.begin().unwrap().drained);
    handle.release(a.as_fd());
}

#[test]
fn of_two_that_poll_one_direction_the_first_is_told_to_come_again() {
    let (a, _b) = UnixStream::pair().unwrap();
    let handle = Handle::new();
    let read = handle.side(Side::Read);
    let before = read.begin().unwrap();
    let ((first, waker), (second, other)) = (counted(), counted());
    assert!(read.leave(before, &waker));
    assert!(read.leave(before, &waker));
    assert_eq!(first.0.load(SeqCst), 0);
    assert!(read.leave(before, &other));
    assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (1, 0));
    assert!(anybody_waits());
    handle.close();
    assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (1, 1));
    handle.release(a.as_fd());
}

#[test]
fn a_worker_that_ends_sends_those_who_wait_to_another() {
    let (a, b) = UnixStream::pair().unwrap();
    let a = Arc::new(Pollable::new(a).unwrap());
    let runtime = crate::Runtime::builder().workers(1).build().unwrap();
    let there = a.clone();
    // Registered with a worker of this runtime, which then ends.
    runtime.run(move || {
        there.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!(there.wait_readable().is_err());
        there.set_read_timeout(None).unwrap();
    });
    let waits = {
        let a = a.clone();
        std::thread::spawn(move || a.wait_readable())
    };
    while !a.side(Side::Read).is_awaited() {
        std::thread::yield_now();
    }
    runtime.shutdown(Duration::MAX);
    std::io::Write::write_all(&mut &b, b"x").unwrap();
    waits.join().unwrap().unwrap();
}
