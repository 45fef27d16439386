use super::*;
use crate::{WaitGroup, channel::Receiver};

struct Ground {
    rx: Receiver<()>,
    done: WaitGroup,
}

/// What `.ci/million` parks: with the allocator's own 8 bytes it takes 192.
async fn parked(ground: &'static Ground) {
    let _ = ground.rx.recv_async().await;
    ground.done.done();
}

fn size_of_whole<A, F: Future>(_: fn(A) -> F) -> usize {
    size_of::<Whole<F>>()
}

#[test]
fn a_parked_future_stays_small() {
    let sizes = [
        ("Place", size_of::<Place>(), 16),
        ("Origin", size_of::<Origin>(), 8),
        ("Joiner", size_of::<Joiner>(), 8),
        ("Stackless", size_of::<Stackless>(), 72),
        ("the whole", size_of_whole(parked), 184),
    ];
    for (what, bytes, before) in sizes {
        assert!(bytes <= before, "{what} has grown from {before} bytes to {bytes}; all: {sizes:?}");
    }
}
