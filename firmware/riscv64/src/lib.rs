//! QEMU's riscv64 `virt` machine without firmware: each hart enters `hart_main(hart)` in machine mode, prints to the 16550,
//! has a timer interrupt that calls `on_tick(hart)`, and ends QEMU with an exit status.
#![no_std]

use core::{
    arch::{asm, global_asm},
    fmt::{self, Write},
    sync::atomic::{AtomicBool, Ordering::*},
};

// QEMU zeroes RAM and loads .data in place: there is nothing to initialise.
global_asm!(
    ".section .text.start,\"ax\",@progbits",
    ".global _start",
    "_start:",
    "csrw mie, zero",
    "li t0, 0x2000", // mstatus.FS = initial: the target has floats in registers
    "csrs mstatus, t0",
    "la t0, trap",
    "csrw mtvec, t0",
    ".option push",
    ".option norelax",
    "la gp, __global_pointer$",
    ".option pop",
    "csrr a0, mhartid",
    "la sp, _stacks",
    "addi t0, a0, 1",
    "slli t0, t0, 16",
    "add sp, sp, t0",
    "call hart_main",
    "1: wfi",
    "j 1b",
    // Saves what a call may change (no floats: the handler has none), calls `on_trap(mcause, mepc)`, and goes back.
    ".balign 4",
    "trap:",
    "addi sp, sp, -128",
    "sd ra, 0(sp)",
    "sd t0, 8(sp)",
    "sd t1, 16(sp)",
    "sd t2, 24(sp)",
    "sd t3, 32(sp)",
    "sd t4, 40(sp)",
    "sd t5, 48(sp)",
    "sd t6, 56(sp)",
    "sd a0, 64(sp)",
    "sd a1, 72(sp)",
    "sd a2, 80(sp)",
    "sd a3, 88(sp)",
    "sd a4, 96(sp)",
    "sd a5, 104(sp)",
    "sd a6, 112(sp)",
    "sd a7, 120(sp)",
    "csrr a0, mcause",
    "csrr a1, mepc",
    "call on_trap",
    "ld ra, 0(sp)",
    "ld t0, 8(sp)",
    "ld t1, 16(sp)",
    "ld t2, 24(sp)",
    "ld t3, 32(sp)",
    "ld t4, 40(sp)",
    "ld t5, 48(sp)",
    "ld t6, 56(sp)",
    "ld a0, 64(sp)",
    "ld a1, 72(sp)",
    "ld a2, 80(sp)",
    "ld a3, 88(sp)",
    "ld a4, 96(sp)",
    "ld a5, 104(sp)",
    "ld a6, 112(sp)",
    "ld a7, 120(sp)",
    "addi sp, sp, 128",
    "mret",
);

unsafe extern "Rust" {
    /// The firmware's own handler.
    safe fn on_tick(hart: usize);
}

const TIMER: usize = 1 << 63 | 7;

#[unsafe(no_mangle)]
extern "C" fn on_trap(cause: usize, pc: usize) {
    assert!(cause == TIMER, "trap {cause:#x} at {pc:#x} on hart {}", hart());
    on_tick(hart());
}

/// Which hart this is.
pub fn hart() -> usize {
    let hart;
    // SAFETY: reads a register.
    unsafe { asm!("csrr {}, mhartid", out(reg) hart, options(nomem, nostack)) };
    hart
}

/// This hart's next timer interrupt comes in `delay` times 100 ns.
pub fn set_tick(delay: u64) {
    const NOW: *const u64 = 0x200_bff8 as *const u64;
    const COMPARE: *mut u64 = 0x200_4000 as *mut u64;
    // SAFETY: this machine's clock and its compare registers, one for each hart.
    unsafe { COMPARE.add(hart()).write_volatile(NOW.read_volatile() + delay) };
}

/// Lets this hart's timer interrupts in.
pub fn start_ticks() {
    // SAFETY: mie.MTIE and mstatus.MIE; the handler keeps what it interrupts.
    unsafe { asm!("csrs mie, {}", "csrs mstatus, {}", in(reg) 0x80, in(reg) 0x8) };
}

/// No more timer interrupts on this hart.
pub fn stop_ticks() {
    // SAFETY: mie.MTIE.
    unsafe { asm!("csrc mie, {}", in(reg) 0x80) };
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const UART: *mut u8 = 0x1000_0000 as *mut u8;
        for byte in text.bytes() {
            // SAFETY: this machine's 16550: bit 5 of register 5 says that it takes a byte.
            unsafe {
                while UART.add(5).read_volatile() & 0x20 == 0 {}
                UART.write_volatile(byte);
            }
        }
        Ok(())
    }
}

static PRINTING: AtomicBool = AtomicBool::new(false);

/// Prints a line.
pub fn print(line: fmt::Arguments<'_>) {
    while PRINTING.swap(true, Acquire) {}
    let _ = writeln!(Uart, "{line}");
    PRINTING.store(false, Release);
}

/// Ends QEMU with this exit status.
pub fn exit(status: u16) -> ! {
    const FINISHER: *mut u32 = 0x10_0000 as *mut u32;
    let word = if status == 0 { 0x5555 } else { (status as u32) << 16 | 0x3333 };
    loop {
        // SAFETY: this machine's test device.
        unsafe { FINISHER.write_volatile(word) };
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop_ticks();
    PRINTING.store(false, Relaxed);
    print(format_args!("FAILED {info}"));
    exit(1)
}
