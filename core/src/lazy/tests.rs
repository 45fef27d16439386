//! What a lazy value adds to a cell: an initialiser that is used up.

use super::*;
use crate::test_support::{Counted, assert_not, block_on};
use core::{cell::Cell, pin::pin, sync::atomic::Ordering::*, task::Waker};
use proptest::prelude::*;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    string::ToString,
    thread,
    time::Duration,
};

fn message(panic: std::boxed::Box<dyn core::any::Any + Send>) -> &'static str {
    panic.downcast_ref::<&str>().copied().expect("a message")
}

#[test]
fn it_is_made_by_the_first_use_of_any_kind() {
    let uses: [fn(&Lazy<u32>) -> u32; 4] = [
        |lazy| **lazy,
        |lazy| *Lazy::force(lazy),
        |lazy| *Lazy::try_force(lazy).unwrap(),
        |lazy| *block_on(Lazy::force_async(lazy)),
    ];
    for first in uses {
        let lazy: Lazy<u32> = Lazy::new(|| 4);
        assert_eq!(Lazy::get(&lazy), None);
        assert_eq!(first(&lazy), 4);
        assert_eq!(Lazy::get(&lazy), Some(&4));
        assert!(uses.iter().all(|again| again(&lazy) == 4));
    }
    let mut lazy = Lazy::new(|| 4);
    assert_eq!(Lazy::get_mut(&mut lazy), None);
    *Lazy::force_mut(&mut lazy) += 1;
    assert_eq!(*lazy, 5);
    assert_eq!(Lazy::get_mut(&mut lazy), Some(&mut 5));
}

/// The panic itself goes to whoever ran it; those who wait then, and all who come later, hear what has happened.
#[test]
fn a_panic_is_final() {
    static LAZY: Lazy<u32> = Lazy::new(|| {
        thread::sleep(Duration::from_millis(20));
        panic!("the first use")
    });
    let panics = [0; 3].map(|_| thread::spawn(|| *LAZY)).map(|user| message(user.join().unwrap_err()));
    assert_eq!(panics.iter().filter(|text| **text == "the first use").count(), 1);
    assert_eq!(panics.iter().filter(|text| text.contains("has panicked")).count(), 2);
    let later: [fn(); 4] = [
        || _ = *LAZY,
        || _ = Lazy::try_force(&LAZY),
        || _ = block_on(Lazy::force_async(&LAZY)),
        || {
            let lazy = Lazy::new(|| -> u32 { panic!("the first use") });
            assert!(catch_unwind(AssertUnwindSafe(|| *lazy)).is_err());
            let _ = Lazy::into_value(lazy);
        },
    ];
    for use_again in later {
        assert!(message(catch_unwind(use_again).unwrap_err()).contains("the initialiser has panicked"));
    }
    assert_eq!(Lazy::get(&LAZY), None);
}

#[test]
fn a_future_waits_for_another_task() {
    let once = std::sync::Barrier::new(2);
    let lazy = Lazy::new(|| {
        once.wait();
        once.wait();
        6
    });
    thread::scope(|scope| {
        let other = scope.spawn(|| *lazy);
        once.wait();
        assert_eq!(Lazy::try_force(&lazy), None);
        let mut force = pin!(Lazy::force_async(&lazy));
        let mut context = Context::from_waker(Waker::noop());
        assert!(force.as_mut().poll(&mut context).is_pending());
        drop(Lazy::force_async(&lazy));
        once.wait();
        assert_eq!(other.join().unwrap(), 6);
        assert_eq!(force.as_mut().poll(&mut context), Poll::Ready(&6));
        assert!(force.is_terminated());
    });
}

#[test]
fn the_value_or_the_initialiser_comes_out_and_is_dropped_once() {
    let (value, drops) = Counted::new();
    let lazy = Lazy::new(move || value);
    let Err(make) = Lazy::into_value(lazy) else { panic!("made without a use") };
    assert_eq!(drops.load(SeqCst), 0);
    let lazy = Lazy::new(make);
    Lazy::force(&lazy);
    let Ok(value) = Lazy::into_value(lazy) else { panic!("not made") };
    assert_eq!(drops.load(SeqCst), 0);
    let lazy = Lazy::new(|| value);
    Lazy::force(&lazy);
    drop(lazy);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn it_prints_what_is_there() {
    let lazy = Lazy::<u8>::default();
    assert_eq!(std::format!("{lazy:?}"), "Lazy(<not made yet>)");
    Lazy::force(&lazy);
    assert_eq!((std::format!("{lazy:?}"), lazy.to_string()), ("Lazy(0)".into(), "0".into()));
}

const _: fn() = || {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>() {}
    sync::<Lazy<u8, Cell<u8>>>();
    send(&Lazy::new(|| 1));
    send(&Lazy::<Cell<u8>>::default());
};
assert_not!(Lazy<Cell<u8>>: Sync);
assert_not!(Lazy<u8, *const u8>: Sync);
assert_not!(Lazy<*const u8>: Send);

/// How a history uses the value.
#[derive(Clone, Copy, Debug)]
enum Use {
    Get,
    Force,
    TryForce,
    ForceMut,
    /// A future of this place is begun, or polled.
    Poll(usize),
    Drop(usize),
}

fn uses() -> impl Strategy<Value = Use> {
    let place = 0..3_usize;
    prop_oneof![
        1 => Just(Use::Get),
        1 => Just(Use::Force),
        1 => Just(Use::TryForce),
        1 => Just(Use::ForceMut),
        2 => place.clone().prop_map(Use::Poll),
        1 => place.prop_map(Use::Drop),
    ]
}

proptest! {
    /// Beside three states: not made, made, and never to be made, since the initialiser panics.
    #[test]
    fn random_histories(uses in proptest::collection::vec(uses(), 1..30), panics in any::<bool>()) {
        let runs = Cell::new(0);
        let (value, drops) = Counted::new();
        let mut lazy = Lazy::new(|| {
            runs.set(runs.get() + 1);
            assert!(!panics, "no value");
            value
        });
        let mut uses = uses.into_iter().peekable();
        let mut used = false;
        while uses.peek().is_some() {
            let mut futures = [const { None }; 3];
            let mut wants_mut = false;
            for step in uses.by_ref() {
                let outcome = catch_unwind(AssertUnwindSafe(|| match step {
                    Use::Get => Lazy::get(&lazy).is_some(),
                    Use::Force => {
                        Lazy::force(&lazy);
                        true
                    }
                    Use::TryForce => Lazy::try_force(&lazy).is_some(),
                    Use::Poll(place) => {
                        let mut future = futures[place].take().unwrap_or_else(|| std::boxed::Box::pin(Lazy::force_async(&lazy)));
                        let ready = future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
                        assert_eq!(future.is_terminated(), ready);
                        ready
                    }
                    Use::Drop(place) => futures[place].take().is_some(),
                    Use::ForceMut => {
                        wants_mut = true;
                        true
                    }
                }));
                match step {
                    Use::Get => prop_assert_eq!(outcome.ok(), Some(used && !panics)),
                    Use::Drop(_) => prop_assert!(outcome.is_ok()),
                    Use::ForceMut => break,
                    _ => {
                        used = true;
                        prop_assert_eq!(outcome.ok(), (!panics).then_some(true));
                    }
                }
                prop_assert_eq!(runs.get(), usize::from(used), "it runs once, at the first use");
            }
            drop(futures);
            if wants_mut {
                let there = catch_unwind(AssertUnwindSafe(|| _ = Lazy::force_mut(&mut lazy)));
                used = true;
                prop_assert_eq!(there.is_ok(), !panics);
                prop_assert_eq!(Lazy::get_mut(&mut lazy).is_some(), !panics);
            }
        }
        // One that has panicked took the value along.
        prop_assert_eq!(drops.load(SeqCst), usize::from(used && panics));
        drop(lazy);
        prop_assert_eq!(drops.load(SeqCst), 1);
    }
}
