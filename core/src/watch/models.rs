//! Changes against those who wait for them.

use super::*;
use crate::test_support::block_on;
use loom::thread;
use std::sync::Arc;

/// A watcher sleeps until the change, and reads it. Fails if the version moves before the value is locked.
#[test]
fn watch_change_is_seen() {
    loom::model(|| {
        let watch = Arc::new(Watch::new(0));
        let sender = {
            let watch = watch.clone();
            thread::spawn(move || watch.send(1))
        };
        let mut watcher = Watcher { watch: &watch, seen: 0 };
        watcher.changed();
        assert_eq!(watch.get(), 1);
        sender.join().unwrap();
    });
}

/// Whoever reads and takes note of the version hears of every change that he did not read (W1). Fails if the version moves
/// after the value is unlocked.
#[test]
fn watch_what_was_not_read_is_announced() {
    loom::model(|| {
        let watch = Arc::new(Watch::new(0));
        let sender = {
            let watch = watch.clone();
            thread::spawn(move || watch.send(1))
        };
        let mut watcher = Watcher { watch: &watch, seen: 0 };
        let read = watcher.get();
        sender.join().unwrap();
        assert_eq!(watcher.try_changed(), read == 0);
    });
}

/// Two watchers, one by a future, are both woken by one change.
#[test]
fn watch_all_are_woken() {
    loom::model(|| {
        let watch = Arc::new(Watch::new(0));
        let other = {
            let watch = watch.clone();
            thread::spawn(move || block_on(Watcher { watch: &watch, seen: 0 }.changed_async()))
        };
        let sender = {
            let watch = watch.clone();
            thread::spawn(move || watch.send(1))
        };
        Watcher { watch: &watch, seen: 0 }.changed();
        other.join().unwrap();
        sender.join().unwrap();
    });
}
