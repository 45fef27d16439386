//! A value that is made on one thread and read on others.

use super::*;
use crate::test_support::block_on;
use loom::thread;
use std::{boxed::Box, sync::Arc};

/// Two bring a value, one looks without a lock: there is one value, and whoever sees it sees it whole. Fails if the once is
/// done before the value is written.
#[test]
fn once_cell_value_is_whole() {
    loom::model(|| {
        let cell = Arc::new(OnceCell::new());
        let others = [1, 2].map(|i| {
            let cell = cell.clone();
            thread::spawn(move || **cell.get_or_init(|| Box::new(i)))
        });
        thread::yield_now(); // as in the once's models
        let seen = cell.get().map(|value| **value);
        let got = others.map(|other| other.join().unwrap());
        assert_eq!(got[0], got[1]);
        assert!(seen.is_none_or(|seen| seen == got[0]));
    });
}

/// Who waits for a value, as a thread or as a future, gets it.
#[test]
fn once_cell_waits_end() {
    for future in [false, true] {
        loom::model(move || {
            let cell = Arc::new(OnceCell::new());
            let setting = {
                let cell = cell.clone();
                thread::spawn(move || cell.set(7))
            };
            assert_eq!(*if future { block_on(cell.wait_async()) } else { cell.wait() }, 7);
            assert_eq!(setting.join().unwrap(), Ok(()));
        });
    }
}
