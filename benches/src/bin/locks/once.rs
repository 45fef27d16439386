//! What was initialised long ago: the way on which every use of it goes.

use greenlight_benches::{Column, Options, Whose::*, Workload, now};
use std::{hint::black_box, time::Duration};

#[derive(Clone, Copy)]
enum Shape {
    /// The value of a cell that is set.
    Get,
    /// The value behind a lazy that was forced.
    Lazy,
}

const WORKLOADS: &[Workload<Shape>] = &[
    Workload { name: "once, get", shape: Shape::Get, least: 1_024, most: 1 << 28 },
    Workload { name: "once, lazy", shape: Shape::Lazy, least: 1_024, most: 1 << 28 },
];

pub(crate) fn table(options: &Options) {
    let columns = [
        Column { name: "greenlight", whose: Ours, run: run::<greenlight::OnceCell<usize>> },
        Column { name: "std", whose: Peers, run: run::<std::sync::OnceLock<usize>> },
        Column { name: "once_cell", whose: Peers, run: run::<once_cell::sync::OnceCell<usize>> },
        Column { name: "spin", whose: Peers, run: run::<spin::Once<usize>> },
    ];
    greenlight_benches::table(options, "look", WORKLOADS, &columns);
}

const VALUE: usize = 7;

trait Cell: 'static {
    type Lazy: std::ops::Deref<Target = usize>;

    fn set() -> Self;
    fn value(&self) -> Option<&usize>;
    fn lazy() -> Self::Lazy;
}

fn run<C: Cell>(shape: &Shape, operations: usize) -> Option<Duration> {
    let (cell, lazy) = (C::set(), C::lazy());
    assert_eq!(*lazy, VALUE);
    let start = now();
    let sum: usize = match shape {
        Shape::Get => (0..operations).map(|_| black_box(black_box(&cell).value()).copied().unwrap_or(0)).sum(),
        Shape::Lazy => (0..operations).map(|_| *black_box(&**black_box(&lazy))).sum(),
    };
    let elapsed = now() - start;
    assert_eq!(sum, VALUE * operations);
    Some(elapsed)
}

macro_rules! cells {
    ($($cell:ty, $lazy:ty;)+) => {
        $(impl Cell for $cell {
            type Lazy = $lazy;

            fn set() -> Self {
                VALUE.into()
            }

            #[inline]
            fn value(&self) -> Option<&usize> {
                self.get()
            }

            fn lazy() -> Self::Lazy {
                <$lazy>::new(|| VALUE)
            }
        })+
    };
}

cells! {
    greenlight::OnceCell<usize>, greenlight::Lazy<usize>;
    std::sync::OnceLock<usize>, std::sync::LazyLock<usize>;
    once_cell::sync::OnceCell<usize>, once_cell::sync::Lazy<usize>;
    spin::Once<usize>, spin::LazyLock<usize>;
}
