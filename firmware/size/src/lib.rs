//! The rest of a program whose size is measured: main does one thing for ever, a SysTick handler another. What they do
//! comes from a register and goes to one, so that nothing can be left out.
#![no_std]

use core::{
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

pub use cortex_m_rt::{entry, exception};

/// A value that the compiler does not know.
#[inline(always)]
pub fn input() -> u32 {
    black_box(7)
}

/// Uses a value.
#[inline(always)]
pub fn output<T>(value: T) {
    black_box(value);
}

/// The smallest executor: it asks again and again.
#[inline(always)]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}

/// A program of two things.
#[macro_export]
macro_rules! program {
    ($main:expr, $tick:expr) => {
        #[$crate::entry]
        fn main() -> ! {
            loop {
                $main;
            }
        }

        #[$crate::exception]
        fn SysTick() {
            $tick;
        }
    };
}
