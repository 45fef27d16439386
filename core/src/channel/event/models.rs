//! Models of selects with a future among their arms.

use crate::{
    channel::{bounded, oneshot},
    select,
};
use loom::thread;

/// A future that is woken while the select goes to sleep ends it.
#[test]
fn event_meets_a_select_going_to_sleep() {
    loom::model(|| {
        let (tx, answer) = oneshot::channel();
        let (_keep, rx) = bounded::<u32>(1);
        let other = thread::spawn(move || tx.send(7).unwrap());
        let got = select! {
            wait(answer) -> got => got.unwrap(),
            recv(rx) -> _ => unreachable!("nobody sends"),
        };
        assert_eq!(got, 7);
        other.join().unwrap();
    });
}

/// A value and an event at once: one is chosen, and the other is still there.
#[test]
fn event_and_value_do_not_both_happen() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.min(2));
    builder.check(|| {
        let (tx, mut answer) = oneshot::channel();
        let (values, rx) = bounded::<u32>(1);
        let other = thread::spawn(move || {
            tx.send(1).unwrap();
            values.try_send(2).unwrap();
        });
        let first = select! {
            wait(&mut answer) -> got => got.unwrap(),
            recv(rx) -> got => got.unwrap(),
        };
        other.join().unwrap();
        let second = if first == 1 { rx.try_recv().unwrap() } else { answer.try_recv().unwrap() };
        assert_eq!(first + second, 3);
    });
}
