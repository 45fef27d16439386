//! Both spin locks: the same cases for each, and the order of the one that has one. Among them are the cases of spin's own tests
//! of its mutexes, written anew; left out are `force_unlock` and `leak`, which ours do not have.

use super::*;
use crate::test_support::assert_not;
use proptest::prelude::*;
use std::{cell::Cell, mem, rc::Rc, sync::Arc, thread, vec::Vec};

macro_rules! cases {
    ($module:ident, $mutex:ident, $guard:ident) => {
        mod $module {
            use super::*;

            static LOCK: $mutex<u32> = $mutex::new(0);

            #[test]
            fn counts_right_under_contention() {
                let threads: Vec<_> = (0..6)
                    .map(|_| thread::spawn(|| (0..if cfg!(miri) { 20 } else { 1_000 }).for_each(|_| *LOCK.lock() += 1)))
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                assert_eq!(*LOCK.lock(), if cfg!(miri) { 120 } else { 6_000 });
            }

            #[test]
            fn a_try_takes_what_is_free_and_nothing_else() {
                let lock = $mutex::new(42);
                let guard = lock.try_lock();
                assert_eq!(guard.as_deref(), Some(&42));
                assert!(lock.try_lock().is_none());
                assert!(lock.raw.is_taken());
                drop(guard);
                assert!(!lock.raw.is_taken());
                assert_eq!(lock.try_lock().as_deref(), Some(&42));
            }

            #[test]
            fn the_value_comes_out_and_is_dropped_once() {
                let value = Arc::new(10);
                let mut lock = $mutex::new(value.clone());
                assert_eq!(**lock.get_mut(), 10);
                assert_eq!(Arc::strong_count(&lock.into_inner()), 2);
                drop($mutex::from(value.clone()));
                assert_eq!(Arc::strong_count(&value), 1);
                assert_eq!($mutex::<u8>::default().into_inner(), 0);
            }

            #[test]
            fn nested_in_each_other_and_unsized() {
                let inner = Arc::new($mutex::new(1));
                let outer = $mutex::new(inner.clone());
                assert_eq!(*outer.lock().lock(), 1);
                let lock: &$mutex<[i32]> = &$mutex::new([1, 2, 3]);
                lock.lock()[0] = 4;
                assert_eq!(*lock.lock(), [4, 2, 3]);
            }

            #[test]
            fn a_panic_unlocks_and_its_drops_may_lock() {
                struct Unwinder(Arc<$mutex<i32>>);
                impl Drop for Unwinder {
                    fn drop(&mut self) {
                        *self.0.lock() += 1;
                    }
                }
                let lock = Arc::new($mutex::new(1));
                let unwinder = Unwinder(lock.clone());
                let panicked = thread::spawn(move || {
                    let lock = unwinder.0.clone();
                    let _unwinder = unwinder;
                    let _guard = lock.lock();
                    panic!("inside");
                });
                assert!(panicked.join().is_err());
                assert_eq!(*lock.lock(), 2);
            }

            #[test]
            fn a_forgotten_guard_locks_for_ever() {
                let mut lock = $mutex::new(1);
                mem::forget(lock.lock());
                assert!(lock.try_lock().is_none());
                assert_eq!(*lock.get_mut(), 1);
            }

            #[test]
            fn what_is_printed() {
                let lock = $mutex::new(5);
                assert_eq!(std::format!("{lock:?}"), concat!(stringify!($mutex), "(5)"));
                let guard = lock.lock();
                let text = std::format!("{lock:?} {guard:?} {guard}");
                assert_eq!(text, concat!(stringify!($mutex), "(<locked>) 5 5"));
            }

            #[test]
            fn threads_are_promised_what_is_kept() {
                fn send_and_sync<T: Send + Sync>() {}
                send_and_sync::<$mutex<Cell<u8>>>();
                send_and_sync::<$guard<'_, u8>>();
                assert_not!($mutex<Rc<u8>>: Sync);
                assert_not!($guard<'static, Cell<u8>>: Sync);
                assert_not!($guard<'static, Rc<u8>>: Send);
            }

            proptest! {
                /// Tries and drops in every order, against a flag.
                #[test]
                fn it_does_what_a_flag_does(steps in proptest::collection::vec(any::<bool>(), 1..40)) {
                    let lock = $mutex::new(0);
                    let (mut guard, mut sum) = (None, 0);
                    for locks in steps {
                        if locks {
                            let taken = lock.try_lock();
                            prop_assert_eq!(taken.is_some(), guard.is_none());
                            if let Some(mut taken) = taken {
                                sum += 1;
                                *taken += 1;
                                guard = Some(taken);
                            }
                        } else {
                            guard = None;
                        }
                        prop_assert_eq!(lock.raw.is_taken(), guard.is_some());
                    }
                    drop(guard);
                    prop_assert_eq!(lock.into_inner(), sum);
                }
            }
        }
    };
}

cases!(plain, SpinMutex, SpinMutexGuard);
cases!(by_ticket, TicketMutex, TicketMutexGuard);

/// Each waits for those who came before it, and for nobody else.
#[test]
fn tickets_are_served_in_order() {
    const THREADS: u32 = 4;
    let lock = Arc::new(TicketMutex::new(Vec::new()));
    let guard = lock.lock();
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            let waiting = lock.clone();
            let thread = thread::spawn(move || waiting.lock().push(i));
            // The next one starts once this one has its ticket; the first was ours.
            while lock.raw.drawn() < i + 2 {
                thread::yield_now();
            }
            thread
        })
        .collect();
    drop(guard);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*lock.lock(), (0..THREADS).collect::<Vec<_>>());
}
