//! The programs by which others were shown to be unsound, written anew for `go`: here they are harmless.

use greenlight::{Runtime, WaitGroup, channel::bounded, go, run, yield_now};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread::{self, ThreadId},
};

const TASKS: usize = 500;
const YIELDS: usize = if cfg!(debug_assertions) { 100 } else { 1000 };

/// Xudong-Huang/may#6: an `Rc` is left in a thread-local, and used on after each yield. Where tasks move from thread to
/// thread, two of them count at once.
#[test]
fn an_rc_left_in_a_thread_local() {
    thread_local!(static ID: RefCell<Option<Rc<ThreadId>>> = const { RefCell::new(None) });
    let runtime = Runtime::builder().workers(8).build().unwrap();
    let used = runtime.run(|| {
        let used = Arc::new(Mutex::new(HashSet::new()));
        let wg = WaitGroup::new();
        for _ in 0..TASKS {
            let used = used.clone();
            wg.go(move || {
                let handle = Rc::new(thread::current().id());
                ID.with(|id| *id.borrow_mut() = Some(Rc::clone(&handle)));
                used.lock().unwrap().insert(*handle);
                for _ in 0..YIELDS {
                    // The count of the one that is there, whoever made it, and of our own.
                    let there = ID.with(|id| Rc::clone(id.borrow().as_ref().expect("somebody left one")));
                    let _again = Rc::clone(&handle);
                    assert_eq!((*handle, *there), (thread::current().id(), thread::current().id()));
                    yield_now();
                    drop(there);
                }
                let left = ID.with(|id| id.borrow().as_ref().is_some_and(|id| Rc::ptr_eq(id, &handle)));
                assert_eq!(Rc::strong_count(&handle), if left { 2 } else { 1 });
            });
        }
        wg.wait();
        used.lock().unwrap().len()
    });
    assert!(used > 1, "it was on {used} threads");
}

/// rust-lang/unsafe-code-guidelines#602: a reference that `LocalKey::with` gives lives across a switch. It must stay this
/// thread's, and the thread must not end before it: here its runtime is gone long before.
#[test]
fn a_reference_to_a_thread_local_across_a_switch() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    struct Local(Cell<u64>, Box<u64>);
    impl Drop for Local {
        fn drop(&mut self) {
            *self.1 = 0;
            self.0.set(0);
            ALIVE.fetch_sub(1, SeqCst);
        }
    }
    thread_local!(static LOCAL: Local = {
        ALIVE.fetch_add(1, SeqCst);
        Local(Cell::new(0), Box::new(602))
    });
    for workers in [1, 2, 8] {
        let ((tx, rx), (ended, end)) = (bounded::<()>(0), bounded(TASKS));
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        let begun = WaitGroup::new();
        for _ in 0..TASKS {
            let (rx, ended, token) = (rx.clone(), ended.clone(), begun.token());
            runtime.go(move || {
                LOCAL.with(|local| {
                    local.0.set(local.0.get() + 1);
                    drop(token);
                    assert!(rx.recv().is_err());
                    let again = LOCAL.with(std::ptr::from_ref);
                    assert!(std::ptr::eq(local, again));
                    assert_eq!(*local.1, 602);
                    assert!(local.0.get() > 0);
                });
                ended.send(()).unwrap();
            });
        }
        begun.wait();
        drop(runtime);
        thread::yield_now();
        assert!(ALIVE.load(SeqCst) > 0, "a thread with tasks does not end");
        drop((tx, ended));
        assert_eq!(end.iter().count(), TASKS);
        while ALIVE.load(SeqCst) > 0 {
            thread::yield_now();
        }
    }
}

/// The same, for what the compiler may keep of a thread-local in a register: a loop over switches, all of it in one function.
#[test]
fn a_thread_local_in_a_loop_over_switches() {
    thread_local!(static TURNS: Cell<usize> = const { Cell::new(0) });
    run(|| {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                go(|| {
                    let mut mine = 0;
                    for _ in 0..YIELDS {
                        let before = TURNS.get();
                        TURNS.set(before + 1);
                        mine += 1;
                        yield_now();
                        assert!(TURNS.get() > before, "nobody but this thread's tasks counts, and only upwards");
                    }
                    (thread::current().id(), mine, TURNS.with(|turns| std::ptr::from_ref(turns).addr()))
                })
            })
            .collect();
        let mut places = HashSet::new();
        let mut all = 0;
        for task in tasks {
            let (thread, mine, place) = task.join().unwrap();
            places.insert((thread, place));
            all += mine;
        }
        assert_eq!(all, TASKS * YIELDS);
        let threads: HashSet<_> = places.iter().map(|(thread, _)| thread).collect();
        assert_eq!(places.len(), threads.len(), "one thread, one place");
    });
}
