//! Go's `test/chan/select5.go`: in every form that a select may take, the right thing happens, once, and what it names
//! is evaluated in order. Go's program writes a program with all those forms; ours is written by a macro.
//!
//! Evaluation. As in Go, the channels of all arms are evaluated once, on entry, from the first to the last, and a body
//! runs after that. Of the values to send, Go evaluates all. Here the value of the arm that happens is evaluated once,
//! and another's at most once: what is not sent may be left out.
//!
//! Go's forms in which a value is received into a place (a variable, a pointer's target, a map's entry) are left out:
//! our arms have patterns, and the body puts the value where it likes. So are those with `default` before the other
//! arms.

use greenlight::{
    channel::{Receiver, Sender, bounded, never},
    select,
};
use greenlight_tests::{nowhere, on_workers};
use std::cell::RefCell;

/// Runs `$form! { arms }` for every subset of the arms in braces, with and without a `default` behind them.
macro_rules! every_form {
    ($form:ident [$($arms:tt)*]) => {
        $form! { [$($arms)*] [] }
        $form! { [$($arms)*] [default => unreachable!("default"),] }
    };
    ($form:ident [$($arms:tt)*] {$($arm:tt)*} $($rest:tt)*) => {
        every_form! { $form [$($arms)*] $($rest)* }
        every_form! { $form [$($arms)* $($arm)*] $($rest)* }
    };
}

/// The arms that cannot happen: on a channel without a peer, and on one that can have none.
struct Peerless {
    lonely_tx: Sender<i32>,
    lonely: Receiver<i32>,
    nowhere: Sender<i32>,
    never: Receiver<i32>,
}

impl Peerless {
    fn new() -> Self {
        let (lonely_tx, lonely) = bounded(0);
        Self { lonely_tx, lonely, nowhere: nowhere(), never: never() }
    }
}

#[test]
#[cfg_attr(greenlight_asan, ignore = "dozens of selects in one frame, with red zones, want more than 256 KiB")]
fn the_one_receive_that_can_happen() {
    on_workers(|| {
        let (tx, rx) = bounded(1);
        let no = Peerless::new();
        let mut forms = 0;
        macro_rules! form {
            ([$($arms:tt)*] [$($default:tt)*]) => {
                forms += 1;
                tx.send(forms).unwrap();
                let first = select! { recv(rx) -> got => got.unwrap(), $($arms)* $($default)* };
                tx.send(-forms).unwrap();
                let last = select! { $($arms)* recv(rx) -> got => got.unwrap(), $($default)* };
                assert_eq!((first, last), (forms, -forms));
            };
        }
        every_form! { form []
            { send(no.lonely_tx, 1) -> _ => unreachable!(), }
            { recv(no.lonely) -> _ => unreachable!(), }
            { send(no.nowhere, 1) -> _ => unreachable!(), }
            { recv(no.never) -> _ => unreachable!(), }
        }
        assert_eq!((forms, rx.len()), (32, 0));
    });
}

#[test]
#[cfg_attr(greenlight_asan, ignore = "dozens of selects in one frame, with red zones, want more than 256 KiB")]
fn the_one_send_that_can_happen() {
    on_workers(|| {
        let (tx, rx) = bounded(1);
        let no = Peerless::new();
        let mut forms = 0;
        macro_rules! form {
            ([$($arms:tt)*] [$($default:tt)*]) => {
                forms += 1;
                select! { send(tx, forms) -> sent => sent.unwrap(), $($arms)* $($default)* }
                assert_eq!(rx.recv(), Ok(forms));
                select! { $($arms)* send(tx, -forms) -> sent => sent.unwrap(), $($default)* }
                assert_eq!(rx.recv(), Ok(-forms));
            };
        }
        every_form! { form []
            { send(no.lonely_tx, 1) -> _ => unreachable!(), }
            { recv(no.lonely) -> _ => unreachable!(), }
            { send(no.nowhere, 1) -> _ => unreachable!(), }
            { recv(no.never) -> _ => unreachable!(), }
        }
        assert_eq!((forms, rx.len()), (32, 0));
    });
}

#[test]
fn nothing_can_happen() {
    on_workers(|| {
        let no = Peerless::new();
        let mut forms = 0;
        macro_rules! form {
            ([$($arms:tt)*] []) => {}; // this one would wait for ever
            ([$($arms:tt)*] [$($_default:tt)+]) => {
                forms += 1;
                assert!(select! { $($arms)* default => true });
            };
        }
        every_form! { form []
            { send(no.lonely_tx, 1) -> _ => false, }
            { recv(no.lonely) -> _ => false, }
            { send(no.nowhere, 1) -> _ => false, }
            { recv(no.never) -> _ => false, }
        }
        assert_eq!(forms, 16);
    });
}

/// Who was evaluated, in order.
#[derive(Default)]
struct Log(RefCell<Vec<&'static str>>);

impl Log {
    fn note<T>(&self, name: &'static str, value: T) -> T {
        self.0.borrow_mut().push(name);
        value
    }

    /// Everything since the last call, without the values to send, and how often each of those was evaluated.
    fn take(&self, values: [&str; 3]) -> (Vec<&'static str>, [usize; 3]) {
        let all = self.0.take();
        let counts = values.map(|value| all.iter().filter(|name| **name == value).count());
        (all.into_iter().filter(|name| !values.contains(name)).collect(), counts)
    }
}

#[test]
fn channels_are_evaluated_once_and_in_order_before_a_body() {
    const VALUES: [&str; 3] = ["value 1", "value 2", "value 3"];
    on_workers(|| {
        let log = Log::default();
        let (tx, rx) = bounded(1);
        let no = Peerless::new();
        // Two turns of each: what can happen is a receive and then a send, with and without a default.
        for turn in 1..=4 {
            let (sends, has_default) = (turn % 2 == 0, turn > 2);
            // Full for a turn that receives, empty for one that sends.
            let (rx_arm, tx_arm) = if sends { (&no.never, &tx) } else { (&rx, &no.nowhere) };
            if !sends {
                tx.send(7).unwrap();
            }
            macro_rules! logged {
                ($($default:tt)*) => {
                    select! {
                        send(log.note("channel 1", &no.lonely_tx), log.note("value 1", 1)) -> _ => unreachable!(),
                        recv(log.note("channel 2", rx_arm)) -> got => log.note("receive", assert_eq!(got, Ok(7))),
                        send(log.note("channel 3", tx_arm), log.note("value 2", 2)) -> sent => {
                            log.note("send", sent.unwrap());
                        }
                        recv(log.note("channel 4", &no.lonely)) -> _ => unreachable!(),
                        send(log.note("channel 5", &no.nowhere), log.note("value 3", 3)) -> _ => unreachable!(),
                        $($default)*
                    }
                };
            }
            if has_default {
                logged! { default => unreachable!() }
            } else {
                logged! {}
            }
            let (order, [first, second, third]) = log.take(VALUES);
            let body = if sends { "send" } else { "receive" };
            assert_eq!(order, ["channel 1", "channel 2", "channel 3", "channel 4", "channel 5", body]);
            assert!(first <= 1 && third <= 1, "never sent, evaluated {first} and {third} times");
            assert!(if sends { second == 1 } else { second <= 1 }, "evaluated {second} times");
            if sends {
                assert_eq!(rx.recv(), Ok(2));
            }
        }
    });
}

#[test]
fn a_plain_send_evaluates_its_channel_before_its_value() {
    let log = Log::default();
    let (tx, rx) = bounded(1);
    log.note("channel", &tx).send(log.note("value", 1)).unwrap();
    assert_eq!((log.0.take(), rx.recv()), (vec!["channel", "value"], Ok(1)));
}
