//! Green threads that borrow: the scope waits for them whatever happens.

use greenlight::{
    JoinError, Runtime, Scope, ScopedJoinHandle,
    channel::{bounded, never, oneshot},
    go, run, scope, select, sleep,
    task::{self, is_cancelled, shield},
    yield_now,
};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

/// On an OS thread, and as a green thread on one and on several workers.
fn everywhere(program: fn()) {
    program();
    greenlight_tests::on_workers(program);
}

fn text(payload: Box<dyn std::any::Any + Send>) -> String {
    let owned = payload.downcast::<String>().map(|text| *text);
    owned.unwrap_or_else(|payload| payload.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn children_borrow_and_bring_results() {
    everywhere(|| {
        let numbers: Vec<u64> = (0..1000).collect();
        let mut squares = vec![0; 4];
        let sum: u64 = scope(|s| {
            let parts: Vec<_> = numbers.chunks(250).map(|part| s.spawn(|| part.iter().sum::<u64>())).collect();
            for (i, place) in squares.iter_mut().enumerate() {
                s.spawn(move || {
                    (0..i).for_each(|_| yield_now());
                    *place = i * i;
                });
            }
            parts.into_iter().map(|part| part.join().unwrap()).sum()
        });
        assert_eq!((sum, squares), (499_500, vec![0, 1, 4, 9]));
    });
}

#[test]
fn children_start_others_and_scopes_nest() {
    everywhere(|| {
        let count = AtomicUsize::new(0);
        scope(|s| {
            s.spawn(|| {
                s.spawn(|| {
                    yield_now();
                    s.spawn(|| count.fetch_add(1, SeqCst));
                });
                let (inner, own) = (AtomicUsize::new(0), &count);
                scope(|s| (0..10).for_each(|_| drop(s.spawn(|| inner.fetch_add(1, SeqCst)))));
                own.fetch_add(inner.into_inner(), SeqCst);
            });
        });
        assert_eq!(count.into_inner(), 11);
    });
}

#[test]
fn a_panic_of_the_closure_waits_for_the_children() {
    everywhere(|| {
        let ended = AtomicBool::new(false);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.spawn(|| {
                    sleep(Duration::from_millis(1));
                    ended.store(true, SeqCst);
                });
                panic!("the closure's");
            })
        }));
        assert_eq!(text(panic.unwrap_err()), "the closure's");
        assert!(ended.into_inner());
    });
}

#[test]
fn the_first_panic_of_a_child_is_raised_after_all_have_ended() {
    everywhere(|| {
        let ended = AtomicBool::new(false);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                let first = s.spawn(|| panic!("the first"));
                while !first.is_finished() {
                    yield_now();
                }
                drop(first);
                s.spawn(|| {
                    sleep(Duration::from_millis(1));
                    ended.store(true, SeqCst);
                    panic!("the second");
                });
            })
        }));
        assert_eq!(text(panic.unwrap_err()), "the first");
        assert!(ended.into_inner());
    });
}

/// A child that panicked is joined while it still wakes who joins it, before it has told its scope of the panic.
#[test]
fn a_join_may_be_quicker_than_the_end() {
    #[derive(Default)]
    struct Slow {
        woken: AtomicBool,
        joined: AtomicBool,
    }
    impl Wake for Slow {
        fn wake(self: Arc<Self>) {
            self.woken.store(true, SeqCst);
            while !self.joined.load(SeqCst) {
                thread::yield_now();
            }
        }
    }
    let slow = Arc::new(Slow::default());
    let waker = Waker::from(slow.clone());
    let mut cx = Context::from_waker(&waker);
    let go_on = AtomicBool::new(false);
    scope(|s| {
        let mut child = pin!(s.spawn(|| {
            while !go_on.load(SeqCst) {
                yield_now();
            }
            panic!("told at join");
        }));
        assert!(child.as_mut().poll(&mut cx).is_pending());
        go_on.store(true, SeqCst);
        while !slow.woken.load(SeqCst) {
            thread::yield_now();
        }
        let Poll::Ready(result) = child.as_mut().poll(&mut cx) else { unreachable!("it has ended") };
        assert!(result.unwrap_err().is_panic());
        slow.joined.store(true, SeqCst);
    });
}

#[test]
fn who_joins_answers_for_the_panic() {
    everywhere(|| {
        scope(|s| {
            let error: JoinError = s.spawn(|| panic!("told at join")).join().unwrap_err();
            assert_eq!(error.message(), Some("told at join"));
            let mut late = s.spawn(|| panic!("told in a select"));
            select! { wait(&mut late) -> result => assert!(result.unwrap_err().is_panic()) }
        });
        // A handle that is dropped after the end, one dropped before, one forgotten.
        let ways: [fn(ScopedJoinHandle<'_, ()>); 3] = [
            |handle| {
                while !handle.is_finished() {
                    yield_now();
                }
            },
            |handle| drop(handle),
            |handle| std::mem::forget(handle),
        ];
        for (i, way) in ways.into_iter().enumerate() {
            let panic = catch_unwind(AssertUnwindSafe(|| scope(|s| way(s.spawn(|| panic!("unheard"))))));
            let text = text(panic.unwrap_err());
            assert!(text == "unheard" || (i == 2 && text.contains("of a scope panicked")), "{i}: {text}");
        }
    });
}

#[test]
fn the_policy_cancels_siblings() {
    everywhere(|| {
        let (forever, drops) = (never::<()>(), Arc::new(AtomicUsize::new(0)));
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        for closure_panics in [false, true] {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                Scope::builder().cancel_on_panic().run(|s| {
                    for _ in 0..10 {
                        let counted = Counted(drops.clone());
                        s.spawn(|| {
                            let _counted = counted;
                            forever.recv()
                        });
                    }
                    yield_now();
                    if closure_panics {
                        panic!("one of them");
                    }
                    s.spawn(|| panic!("one of them"));
                    // Started after the fact: it ends as well.
                    sleep(Duration::from_millis(1));
                    s.spawn(|| forever.recv());
                })
            }));
            assert_eq!(text(panic.unwrap_err()), "one of them");
            assert_eq!(drops.swap(0, SeqCst), 10);
        }
    });
}

#[test]
fn a_scope_can_be_cancelled_from_inside() {
    everywhere(|| {
        let forever = never::<()>();
        let error = scope(|s| {
            let waits = s.spawn(|| forever.recv());
            s.spawn(|| forever.recv());
            s.cancel();
            waits.join().unwrap_err()
        });
        assert!(error.is_cancelled()); // and the other one is no panic
    });
}

/// A parent that is cancelled, in its closure or in the wait at its end, cancels its children, and waits for them.
#[test]
fn a_cancelled_parent_waits_for_its_children() {
    for workers in [1, 2] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        for (in_the_closure, shielded) in [(false, false), (false, true), (true, false), (true, true)] {
            let (begun, has_begun) = oneshot::channel();
            let (go_on, gate) = bounded::<()>(0);
            let children = Arc::new(AtomicUsize::new(0));
            let parent = {
                let children = children.clone();
                runtime.go(move || {
                    let (begun_children, local) = (AtomicUsize::new(0), AtomicUsize::new(0));
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        scope(|s| {
                            for _ in 0..5 {
                                s.spawn(|| {
                                    begun_children.fetch_add(1, SeqCst);
                                    let _cancelled = catch_unwind(AssertUnwindSafe(|| never::<()>().recv()));
                                    assert!(is_cancelled());
                                    if shielded {
                                        shield(|| gate.recv().unwrap_err());
                                    }
                                    local.fetch_add(1, SeqCst);
                                });
                            }
                            // One that has not begun when it is cancelled never does.
                            while begun_children.load(SeqCst) < 5 {
                                yield_now();
                            }
                            begun.send(()).unwrap();
                            if in_the_closure {
                                let _ = never::<()>().recv();
                            }
                        })
                    }));
                    assert!(result.is_err() && is_cancelled());
                    children.store(local.into_inner(), SeqCst);
                })
            };
            has_begun.recv().unwrap();
            parent.cancel();
            std::thread::sleep(Duration::from_millis(2));
            assert!(!shielded || !parent.is_finished(), "it waits");
            drop(go_on);
            parent.join().unwrap();
            // Those that had not started ended before they began.
            let ended = children.load(SeqCst);
            assert!(ended == 5 || workers > 1, "{ended}");
        }
    }
}

#[test]
fn children_have_names_and_go_on_beside_other_tasks() {
    run(|| {
        let name = String::from("borrowed");
        scope(|s| {
            let child = s.spawn_with(task::Builder::new().name(&*name), task::current_name);
            assert_eq!(child.name(), Some("borrowed"));
            assert_eq!(child.join().unwrap().as_deref(), Some("borrowed"));
            let other = go(|| 1);
            assert_eq!(other.join().unwrap(), 1);
        });
    });
}

#[test]
fn many_children_come_and_go() {
    everywhere(|| {
        let (sum, n) = (AtomicUsize::new(0), 3000);
        scope(|s| {
            for i in 0..n {
                let child = s.spawn(|| sum.fetch_add(1, SeqCst));
                match i % 4 {
                    0 => drop(child.join().unwrap()),
                    1 => std::mem::forget(child),
                    2 => yield_now(),
                    _ => {}
                }
            }
        });
        assert_eq!(sum.into_inner(), n);
    });
}
