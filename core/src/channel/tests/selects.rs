//! `select!`, `select_biased!` and `Select`: when a value is made, what is left of a choice that is not carried out.

use super::*;
use crate::{
    channel::{Select, after, at, lines, never, tick},
    select_biased,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    string::ToString,
    time::Instant,
};

fn said(result: std::thread::Result<impl Sized>) -> String {
    let Err(panic) = result else { return String::new() };
    panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref().cloned()).unwrap()
}

/// What a lost send would have moved is still there.
#[test]
fn a_value_is_made_when_its_send_was_chosen() {
    let (full, _keep) = bounded(0);
    let (tx, rx) = bounded(1);
    tx.send(1).unwrap();
    let value = String::from("kept");
    let kept = select! {
        send(full, value) -> _ => unreachable!("nobody receives"),
        recv(rx) -> _ => value,
    };
    assert_eq!(kept, "kept");

    let mut made = 0;
    for _ in 0..10 {
        select! {
            send(tx, { made += 1; made }) -> sent => sent.unwrap(),
            default => {}
        }
    }
    assert_eq!((made, rx.recv()), (1, Ok(1)));
}

/// The place that the choice has taken is free again, and who waits for it hears of it.
#[test]
fn a_value_that_panics_gives_its_place_back() {
    let (tx, rx) = bounded(1);
    let panics = || -> u32 { panic!("no value") };
    assert_eq!(said(catch_unwind(AssertUnwindSafe(|| select! { send(tx, panics()) -> _ => {} }))), "no value");
    tx.try_send(1).unwrap();
    assert_eq!((rx.try_recv(), rx.try_recv().is_err()), (Ok(1), true));

    // A receiver of a rendezvous that was promised the value waits on.
    let (tx, rx) = bounded(0);
    let receiver = thread::spawn(move || rx.recv());
    while tx.shared().lines.flags() & lines::RECEIVERS == 0 {
        thread::yield_now();
    }
    assert_eq!(said(catch_unwind(AssertUnwindSafe(|| select! { send(tx, panics()) -> _ => {} }))), "no value");
    tx.send(7).unwrap();
    assert_eq!(receiver.join().unwrap(), Ok(7));
}

/// Values behind a place that is being filled wait for it, and come in order.
#[test]
fn a_place_that_is_being_filled_keeps_the_order() {
    let (tx, rx) = bounded(2);
    select! {
        send(tx, {
            tx.try_send(2).unwrap();
            assert!(rx.try_recv().unwrap_err().is_empty());
            assert!(tx.try_send(3).unwrap_err().is_full());
            1
        }) -> sent => sent.unwrap(),
    }
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_biased_select_takes_the_first() {
    let (tx, rx) = unbounded();
    (0..100).for_each(|i| tx.send(i).unwrap());
    for i in 0..100 {
        select_biased! {
            recv(never::<u32>()) -> _ => unreachable!(),
            recv(rx) -> got => assert_eq!(got, Ok(i)),
            send(tx, 0) -> _ => unreachable!(),
            default => unreachable!(),
        }
    }
}

#[test]
fn a_list_of_operations() {
    let ((a_tx, a), (b_tx, b)) = (bounded(1), bounded::<&str>(0));
    let mut select = Select::new();
    let (from_a, to_b, to_a) = (select.recv(&a), select.send(&b_tx), select.send(&a_tx));
    assert_eq!((from_a, to_b, to_a), (0, 1, 2));
    let chosen = select.select();
    assert_eq!(chosen.index(), to_a);
    chosen.send(&a_tx, 1).unwrap();
    select.remove(to_a);
    let chosen = select.try_select().unwrap();
    assert_eq!((chosen.index(), chosen.recv(&a)), (from_a, Ok(1)));
    assert!(select.try_select().is_err() && select.select_timeout(SHORT).is_err() && select.try_ready().is_err());
    assert!(select.ready_deadline(Instant::now() + SHORT).is_err());

    let receiver = thread::spawn(move || b.recv());
    assert_eq!(select.ready(), to_b);
    let chosen = select.select();
    assert_eq!(chosen.index(), to_b);
    chosen.send(&b_tx, "met").unwrap();
    assert_eq!(receiver.join().unwrap(), Ok("met"));
}

/// However many are removed, and in whatever order: they are gone, and the others keep their indices and their order.
#[test]
fn what_is_removed_from_a_list_is_gone_and_the_others_stay() {
    let channels: Vec<_> = (0..40).map(|_| bounded::<usize>(1)).collect();
    for step in [1, 3, 7, 39] {
        let mut select = Select::new_biased();
        channels.iter().for_each(|(_, rx)| _ = select.recv(rx));
        let mut left: Vec<usize> = (0..channels.len()).collect();
        for gone in (0..channels.len()).map(|turn| turn * step % channels.len()) {
            channels.iter().enumerate().for_each(|(at, (tx, _))| _ = tx.try_send(at));
            assert_eq!(select.try_ready().ok(), left.first().copied());
            let chosen = select.clone().select();
            let index = chosen.index();
            assert_eq!((index, chosen.recv(&channels[index].1)), (left[0], Ok(left[0])));
            select.remove(gone);
            left.retain(|index| *index != gone);
            let again = said(catch_unwind(AssertUnwindSafe(|| select.remove(gone))));
            assert!(again.contains("was removed before"), "{again}");
        }
        assert!(left.is_empty() && select.try_select().is_err());
        assert!(said(catch_unwind(AssertUnwindSafe(|| select.ready()))).contains("no operations"));
        assert_eq!(select.recv(&channels[0].1), channels.len());
        assert_eq!(select.ready(), channels.len());
        channels.iter().for_each(|(_, rx)| _ = rx.try_recv());
    }
}

#[test]
fn misuse_of_a_list_panics_by_name_and_harms_nothing() {
    let ((tx, rx), (other_tx, other)) = (bounded::<u32>(1), bounded::<u32>(1));
    assert!(said(catch_unwind(|| drop(Select::new().select()))).contains("no operations"));
    assert!(said(catch_unwind(|| Select::new().ready())).contains("no operations"));
    assert!(said(catch_unwind(|| Select::new().remove(0))).contains("index out of bounds"));
    let mut select = Select::new();
    select.send(&tx);
    let wrong = said(catch_unwind(AssertUnwindSafe(|| select.select().send(&other_tx, 1))));
    assert!(wrong.contains("wasn't selected"), "{wrong}");
    let wrong = said(catch_unwind(AssertUnwindSafe(|| select.select().recv(&other))));
    assert!(wrong.contains("wasn't selected"), "{wrong}");
    let dropped = said(catch_unwind(AssertUnwindSafe(|| drop(select.select()))));
    assert!(dropped.contains("without completing"), "{dropped}");
    tx.try_send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
}

/// A forgotten choice keeps its place for ever; the channel goes on without it, and ends.
#[test]
#[cfg_attr(greenlight_asan, ignore = "it leaks")]
fn a_forgotten_choice_keeps_one_place() {
    let dropped = Arc::new(());
    let (tx, rx) = bounded(3);
    tx.try_send(dropped.clone()).unwrap();
    let mut select = Select::new();
    select.send(&tx);
    core::mem::forget(select.select());
    drop(select);
    tx.try_send(dropped.clone()).unwrap();
    assert!(tx.try_send(dropped.clone()).is_err());
    assert!(rx.try_recv().is_ok() && rx.try_recv().is_err());
    drop((tx, rx));
    assert_eq!(Arc::strong_count(&dropped), 1);
}

/// What holds however late this thread runs; when exactly is asked in virtual time, in `tests/hooks.rs`.
#[test]
fn the_clock_sends() {
    let start = Instant::now();
    let (soon, later) = (after(SHORT), at(start + 3 * SHORT));
    assert_eq!((soon.capacity(), never::<()>().capacity()), (Some(1), Some(0)));
    // Both may be due when the first select looks, which then takes either: in the end, each once.
    let mut came = [None; 2];
    for _ in 0..2 {
        let (which, when) = select! { recv(soon) -> when => (0, when), recv(later) -> when => (1, when) };
        assert!(came[which].replace(when.unwrap()).is_none() && Instant::now() >= when.unwrap());
    }
    assert!(came[0] >= Some(start + SHORT));
    assert_eq!(came[1], Some(start + 3 * SHORT));
    assert!(soon.try_recv().unwrap_err().is_empty() && later.try_recv().unwrap_err().is_empty());
    assert!(after(Duration::MAX).try_recv().unwrap_err().is_empty());
    assert!(tick(Duration::MAX).try_recv().unwrap_err().is_empty());
    assert_eq!(soon.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));

    // Late by two periods: one tick is there, and the next is a period away.
    let ticks = tick(SHORT);
    thread::sleep(3 * SHORT);
    assert_eq!((ticks.len(), ticks.is_full()), (1, true));
    let taken = Instant::now();
    assert!(ticks.try_recv().is_ok());
    assert!(ticks.recv().is_ok() && taken.elapsed() >= SHORT);
    assert!(ticks.close() && ticks.recv().is_err());
}
