//! What every Cortex-M firmware here needs: reports through semihosting, an end that becomes QEMU's exit status, and a
//! SysTick handler that knows which instruction it interrupted.
//!
//! A firmware defines `on_tick`:
//!
//! ```text
//! #[unsafe(no_mangle)]
//! extern "C" fn on_tick(frame: &Frame) { … }
//! ```
#![no_std]

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use cortex_m::peripheral::SYST;
use cortex_m_semihosting::{debug, hprintln};

pub use cortex_m_rt::entry;
pub use cortex_m_semihosting::hprintln as println;

/// Ends QEMU with exit status 0.
pub fn pass() -> ! {
    debug::exit(debug::EXIT_SUCCESS);
    unreachable!("QEMU has ended")
}

fn fail() -> ! {
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    hprintln!("FAILED {}", info);
    fail()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    hprintln!("FAILED hard fault at {:#x}", frame.pc());
    fail()
}

// SysTick comes here first, and hands on the frame that the CPU has pushed. LR keeps what a return from the exception needs.
core::arch::global_asm!(
    ".section .text.SysTick,\"ax\",%progbits",
    ".global SysTick",
    ".type SysTick,%function",
    ".thumb_func",
    "SysTick:",
    "mov r0, sp",
    "ldr r1, =on_tick",
    "bx r1",
    ".pool",
);

/// The next tick comes after `cycles`, counted from now.
pub fn set_tick(cycles: u32) {
    // SAFETY: SysTick is used here and nowhere else; its registers can be written at any time.
    unsafe {
        (*SYST::PTR).rvr.write(cycles);
        (*SYST::PTR).cvr.write(0);
        (*SYST::PTR).csr.write(0b111); // the core's clock, with interrupt, on
    }
}

/// No more ticks.
pub fn stop_ticks() {
    // SAFETY: as above.
    unsafe { (*SYST::PTR).csr.write(0) };
}

/// A number that main and the handler share. Only one of the two writes it: an increment is no exchange, so that it works
/// on every Cortex-M.
pub struct Count(AtomicU32);

impl Count {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }

    /// One more. Returns what it was.
    pub fn bump(&self) -> u32 {
        let was = self.get();
        self.set(was.wrapping_add(1));
        was
    }
}

/// So much of the flash is watched, from its beginning.
const CODE: usize = 32 * 1024;
/// A bit for each half word.
static STRUCK: [AtomicU8; CODE / 16] = [const { AtomicU8::new(0) }; CODE / 16];

/// What the CPU pushed before it called the handler. The seventh word is the address of the interrupted instruction.
pub type Frame = [u32; 8];

/// Notes which instruction a tick interrupted: first in `on_tick`.
pub fn note_struck(frame: &Frame) {
    let half = frame[6] as usize / 2;
    if let Some(bits) = STRUCK.get(half / 8) {
        bits.store(bits.load(Relaxed) | 1 << (half % 8), Relaxed);
    }
}

/// How many different instructions were interrupted so far.
pub fn struck() -> u32 {
    STRUCK.iter().map(|bits| bits.load(Relaxed).count_ones()).sum()
}
