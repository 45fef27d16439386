//! First uses against each other.

use super::*;
use crate::test_support::block_on;
use loom::thread;
use std::sync::Arc;

/// Two uses and a future: the initialiser is taken once, and all see the whole value.
#[test]
fn lazy_is_made_once() {
    loom::model(|| {
        let lazy = Arc::new(Lazy::new(|| std::boxed::Box::new(5)));
        let others = [false, true].map(|future| {
            let lazy = lazy.clone();
            thread::spawn(move || if future { **block_on(Lazy::force_async(&lazy)) } else { ***lazy })
        });
        assert_eq!(***lazy, 5);
        others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), 5));
    });
}
