//! Models of channels in statics: the protocols of `channel/models.rs`, over the pool.

use super::*;
use crate::channel::{Arm, RecvError, TryRecvError, arms::SendArm};
use loom::thread;
use std::sync::Arc;

type Single = Arc<StaticChannel<u32, 1>>;

fn channel() -> Single {
    Arc::new(StaticChannel::new())
}

fn spawn<R: 'static>(channel: &Single, run: impl FnOnce(&Single) -> R + 'static) -> thread::JoinHandle<R> {
    let channel = channel.clone();
    thread::spawn(move || run(&channel))
}

/// A receiver that goes to sleep while a value is pushed hears of it (C1), and sees it.
#[test]
fn fixed_push_meets_a_receiver_going_to_sleep() {
    loom::model(|| {
        let channel = channel();
        let sender = spawn(&channel, |channel| channel.sender().try_send(7).unwrap());
        assert_eq!(channel.receiver().recv(), Ok(7));
        sender.join().unwrap();
    });
}

/// A sender that goes to sleep while room is made hears of it.
#[test]
fn fixed_pop_meets_a_sender_going_to_sleep() {
    loom::model(|| {
        let channel = channel();
        channel.sender().try_send(1).unwrap();
        let receiver = spawn(&channel, |channel| channel.receiver().try_recv().unwrap());
        channel.sender().send(2).unwrap();
        assert_eq!((receiver.join().unwrap(), channel.receiver().try_recv()), (1, Ok(2)));
    });
}

/// The last split sender goes while a receiver goes to sleep.
#[test]
fn fixed_end_of_a_split_meets_a_receiver_going_to_sleep() {
    loom::model(|| {
        let channel = channel();
        let closer = spawn(&channel, |channel| drop(channel.split().0));
        assert_eq!(channel.receiver().recv(), Err(RecvError));
        closer.join().unwrap();
    });
}

/// A select that has reserved the only place and gives it up tells the sender that sleeps for it.
#[test]
fn fixed_place_given_back_meets_a_sender_going_to_sleep() {
    loom::model(|| {
        let channel = channel();
        let other = spawn(&channel, |channel| {
            let sender = channel.sender();
            let mut arm = SendArm::new(sender.shared());
            let chosen = arm.attempt();
            drop(arm);
            chosen
        });
        let sent = channel.sender().send(1);
        other.join().unwrap();
        assert_eq!((sent, channel.receiver().try_recv()), (Ok(()), Ok(1)));
        assert_eq!(channel.receiver().try_recv(), Err(TryRecvError::Empty));
    });
}
