//! The tests for several cores on four cores, without interrupts.
#![no_std]
#![no_main]

use aarch64_firmware::{core, exit, print};
use core::fmt;

struct Virt;

impl contention::Machine for Virt {
    fn core(&self) -> usize {
        core()
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        print(line);
    }

    fn ticks(&self, _: bool) -> bool {
        false
    }
}

#[unsafe(no_mangle)]
extern "C" fn core_main(core: usize) {
    contention::run(&Virt);
    if core == 0 {
        exit(0);
    }
}
