//! What a cell adds to a once: values that are dropped once, and who may share them.

use super::*;
use crate::test_support::{Counted, assert_not, block_on};
use core::{
    cell::{Cell, RefCell},
    future::ready,
    pin::{Pin, pin},
    sync::atomic::Ordering::*,
    task::{Context, Poll, Waker},
};
use proptest::prelude::*;
use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind},
    string::{String, ToString},
    thread,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_first_value_stays() {
    let cell = OnceCell::new();
    assert_eq!((cell.get(), cell.try_get_or_init(|| 1)), (None, Some(&1)));
    assert_eq!(cell.try_insert(2), Err((&1, 2)));
    assert_eq!(cell.set(2), Err(2));
    assert_eq!(cell.try_set(2), Err(TrySetError::Full(2)));
    assert_eq!(cell.get_or_init(|| unreachable!()), &1);
    assert_eq!(cell.get_or_try_init(|| Err("unused")), Ok(&1));
    assert_eq!(block_on(cell.get_or_init_async(|| ready(2))), &1);
    assert_eq!((cell.wait(), cell.wait_timeout(SHORT)), (&1, Ok(&1)));
    assert_eq!(block_on(cell.wait_async()), &1);
}

#[test]
fn a_failed_initialiser_leaves_it_empty() {
    let cell = OnceCell::<u32>::new();
    assert_eq!(cell.get_or_try_init(|| Err("sync")), Err("sync"));
    assert_eq!(block_on(cell.get_or_try_init_async(|| ready(Err("async")))), Err("async"));
    assert!(catch_unwind(|| cell.get_or_init(|| panic!("panics"))).is_err());
    assert_eq!(cell.wait_timeout(SHORT), Err(TimedOut));
    assert_eq!(block_on(cell.get_or_try_init_async(|| ready(Ok::<_, ()>(3)))), Ok(&3));
}

/// While one makes a value: a call that never waits says so, a future waits, and each gets what there is in the end.
#[test]
fn who_comes_meanwhile_waits_or_is_told() {
    let cell = OnceCell::new();
    let mut waits = pin!(cell.get_or_init_async(|| ready(1)));
    let mut watches = pin!(cell.wait_async());
    let made = cell.get_or_init(|| {
        assert_eq!(cell.try_set(2), Err(TrySetError::Busy(2)));
        assert_eq!(cell.try_get_or_init(|| 2), None);
        assert!(poll(waits.as_mut()).is_pending() && poll(watches.as_mut()).is_pending());
        3
    });
    assert_eq!(made, &3);
    assert_eq!((poll(waits.as_mut()), poll(watches.as_mut())), (Poll::Ready(&3), Poll::Ready(&3)));
    assert!(waits.is_terminated() && watches.is_terminated());
}

#[test]
fn a_set_waits_for_whoever_is_at_it() {
    let cell = OnceCell::new();
    thread::scope(|scope| {
        let result = cell.get_or_try_init(|| {
            scope.spawn(|| cell.set(2).unwrap());
            thread::sleep(SHORT);
            Err(())
        });
        assert!(result.is_err());
        assert_eq!(cell.wait(), &2);
    });
}

#[test]
fn values_are_dropped_once() {
    let (value, drops) = Counted::new();
    let mut cell = OnceCell::new();
    assert!(cell.set(value.clone()).is_ok());
    drop(cell.set(value.clone()));
    assert_eq!(drops.load(SeqCst), 1, "the refused one");
    drop(cell.take());
    assert_eq!((drops.load(SeqCst), cell.get().is_none()), (2, true));
    assert!(cell.set(value.clone()).is_ok());
    drop(cell);
    assert_eq!(drops.load(SeqCst), 3);
    drop(OnceCell::from(value).into_inner());
    assert_eq!(drops.load(SeqCst), 4);
    drop(OnceCell::<Counted>::new());
}

/// A value was made, and then its maker's drop panics: it is dropped, and the cell is empty and usable.
#[test]
fn a_panic_between_the_value_and_the_cell_drops_it() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    /// Ready at once, and dropped by the poll that finds it so.
    struct Maker(Counted, #[allow(dead_code)] Bomb);
    impl Future for Maker {
        type Output = Counted;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Counted> {
            Poll::Ready(self.0.clone())
        }
    }
    let (value, drops) = Counted::new();
    let cell = OnceCell::new();
    let mut get = std::boxed::Box::pin(cell.get_or_init_async(|| Maker(value, Bomb)));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(get.as_mut()).is_ready())).is_err());
    drop(get);
    assert_eq!(drops.load(SeqCst), 2, "the value and the maker's");
    let (value, _drops) = Counted::new();
    assert!(cell.try_set(value).is_ok());
}

#[test]
fn cells_compare_clone_and_print_by_their_values() {
    let cell = OnceCell::from("a");
    assert_eq!(cell.clone(), cell);
    assert_ne!(OnceCell::new(), cell);
    assert_eq!(std::format!("{cell:?} {:?}", OnceCell::<u8>::new()), "OnceCell(\"a\") OnceCell(<empty>)");
    assert_eq!(TrySetError::Busy(1).to_string(), "another task is making the cell's value");
    assert_eq!(TrySetError::Full(1).into_inner(), 1);
    let mut cell = OnceCell::from(String::from("b"));
    cell.get_mut().unwrap().push('c');
    assert_eq!(cell.into_inner().as_deref(), Some("bc"));
}

const _: fn() = || {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>() {}
    sync::<OnceCell<u8>>();
    send(&OnceCell::<Cell<u8>>::new());
    send(&OnceCell::<u8>::new().get_or_init_async(|| ready(1)));
    send(&OnceCell::<u8>::new().get_or_try_init_async(|| ready(Err(()))));
    send(&OnceCell::<u8>::new().wait_async());
};
// Readers share the value, and any thread may drop it.
assert_not!(OnceCell<Cell<u8>>: Sync);
assert_not!(OnceCell<std::sync::MutexGuard<'static, u8>>: Sync);
assert_not!(OnceCell<*const u8>: Send);
assert_not!(OnceCellWait<'static, Cell<u8>>: Send);

/// What a history does with the cell: each value is a number that no other has.
#[derive(Clone, Copy, Debug)]
enum Step {
    Set,
    TrySet,
    /// By a function: false if it fails.
    Make(bool),
    TryMake,
    Panic,
    /// Polls the future in this place; begins one, if there is none.
    Poll(usize),
    Drop(usize),
    /// Drops all futures, and takes the value out.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..3_usize;
    prop_oneof![
        1 => Just(Step::Set),
        1 => Just(Step::TrySet),
        1 => any::<bool>().prop_map(Step::Make),
        1 => Just(Step::TryMake),
        1 => Just(Step::Panic),
        6 => place.clone().prop_map(Step::Poll),
        2 => place.prop_map(Step::Drop),
        1 => Just(Step::Take),
    ]
}

/// A value that says when it is dropped.
struct Noted<'a>(usize, &'a RefCell<Vec<usize>>);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

proptest! {
    /// The cell beside an `Option`: futures whose initialisers are pending `length` times are polled, dropped and begun anew, while
    /// calls come. No value is lost or dropped twice.
    #[test]
    fn random_histories(steps in proptest::collection::vec(step(), 1..60), length in 1..3_usize, succeeds in any::<bool>()) {
        let dropped = RefCell::new(Vec::new());
        let made = Cell::new(0);
        let new = || {
            made.set(made.get() + 1);
            Noted(made.get(), &dropped)
        };
        let mut cell = OnceCell::new();
        let mut taken = Vec::new();
        let mut steps = steps.into_iter().peekable();
        while steps.peek().is_some() {
            let start = || Box::pin(cell.get_or_try_init_async(async || {
                for _ in 0..length {
                    let mut polled = false;
                    core::future::poll_fn(|_| if core::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
                }
                if succeeds { Ok(new()) } else { Err(()) }
            }));
            let mut futures: [_; 3] = core::array::from_fn(|_| None);
            // Who makes a value, and how many polls before he has it; and the value.
            let (mut running, mut value) = (None::<(usize, usize)>, None);
            for step in steps.by_ref() {
                let next = made.get() + 1;
                match step {
                    // These would wait.
                    Step::Set | Step::Make(_) | Step::Panic if running.is_some() => {}
                    Step::Set => {
                        let outcome = cell.set(new()).map_err(|back| back.0);
                        prop_assert_eq!(outcome, if value.is_none() { Ok(()) } else { Err(next) });
                        value = value.or(Some(next));
                    }
                    Step::TrySet => match cell.try_set(new()) {
                        Ok(()) => prop_assert!(running.is_none() && value.replace(next).is_none()),
                        Err(TrySetError::Full(back)) => prop_assert!(back.0 == next && value.is_some()),
                        Err(TrySetError::Busy(back)) => prop_assert!(back.0 == next && running.is_some()),
                    },
                    Step::Make(succeeds) => {
                        let outcome = cell.get_or_try_init(|| if succeeds { Ok(new()) } else { Err(()) }).map(|there| there.0);
                        value = value.or(succeeds.then_some(next));
                        prop_assert_eq!(outcome.ok(), value);
                    }
                    Step::TryMake => {
                        let there = cell.try_get_or_init(&new).map(|there| there.0);
                        if running.is_none() {
                            value = value.or(Some(next));
                        }
                        prop_assert_eq!(there, value);
                    }
                    Step::Panic => {
                        let panics = catch_unwind(AssertUnwindSafe(|| cell.get_or_init(|| panic!("no value")).0));
                        prop_assert_eq!(panics.ok(), value);
                    }
                    Step::Poll(place) => {
                        let future = futures[place].get_or_insert_with(start);
                        let outcome = match poll(future.as_mut()) {
                            Poll::Ready(outcome) => Some(outcome.map(|there| there.0)),
                            Poll::Pending => None,
                        };
                        let expected = match (value, running) {
                            (Some(there), _) => Some(Ok(there)),
                            (None, None) => {
                                running = Some((place, length));
                                None
                            }
                            (None, Some((who, _))) if who != place => None,
                            (None, Some((who, left))) => {
                                running = (left > 1).then_some((who, left - 1));
                                value = (running.is_none() && succeeds).then_some(next);
                                running.is_none().then_some(value.ok_or(()))
                            }
                        };
                        prop_assert_eq!(outcome, expected);
                        if outcome.is_some() {
                            futures[place] = None;
                        }
                    }
                    Step::Drop(place) => {
                        futures[place] = None;
                        running = running.filter(|&(who, _)| who != place);
                    }
                    Step::Take => break,
                }
                prop_assert_eq!(cell.get().map(|there| there.0), value);
            }
            drop(futures);
            taken.extend(cell.take().map(|there| there.0));
            prop_assert!(cell.get().is_none());
        }
        drop(cell);
        let mut all = dropped.into_inner();
        prop_assert!(taken.iter().all(|number| all.contains(number)));
        all.sort_unstable();
        prop_assert_eq!(all, (1..=made.get()).collect::<Vec<_>>(), "each value was dropped once");
    }
}
