//! The tests for several cores on four harts, with timer interrupts.
#![no_std]
#![no_main]

use core::fmt;
use riscv64_firmware::{exit, hart, print, set_tick, start_ticks, stop_ticks};

struct Virt;

impl contention::Machine for Virt {
    fn core(&self) -> usize {
        hart()
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        print(line);
    }

    fn ticks(&self, on: bool) -> bool {
        if on {
            set_tick(100);
            start_ticks();
        } else {
            stop_ticks();
        }
        true
    }
}

#[unsafe(no_mangle)]
fn on_tick(hart: usize) {
    contention::on_tick(hart);
    // Each hart at its own pace, so that they meet in ever other ways.
    set_tick(50 + 37 * hart as u64);
}

#[unsafe(no_mangle)]
extern "C" fn hart_main(hart: usize) {
    contention::run(&Virt);
    if hart == 0 {
        exit(0);
    }
}
