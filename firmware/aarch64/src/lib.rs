//! QEMU's aarch64 `virt` machine: core 0 wakes the others through PSCI, and each enters `core_main(core)` in EL1, with floating
//! point and an identity map on (exclusive loads and stores are only promised to work on cached normal memory). It prints to the
//! PL011 and ends QEMU with an exit status by semihosting.
#![no_std]

use core::{
    arch::{asm, global_asm},
    fmt::{self, Write},
    sync::atomic::{AtomicBool, Ordering::*},
};

global_asm!(
    ".section .text.start,\"ax\",@progbits",
    ".global _start",
    "_start:",
    // Two entries of 1 GiB: devices at 0, memory at 0x4000_0000.
    "adrp x0, _table",
    "movz x1, #0x0401",          // accessed, attribute 0, block
    "movk x1, #0x0060, lsl #48", // not executable
    "str x1, [x0]",
    "movz x1, #0x0705", // accessed, inner shareable, attribute 1, block
    "movk x1, #0x4000, lsl #16",
    "str x1, [x0, #8]",
    "dsb sy",
    // Wakes cores 1 to 3: PSCI CPU_ON(core, address, core).
    "mov x19, #1",
    "1: movz x0, #0x0003",
    "movk x0, #0xc400, lsl #16",
    "mov x1, x19",
    "adr x2, 2f",
    "mov x3, x19",
    "hvc #0",
    "add x19, x19, #1",
    "cmp x19, #4",
    "b.lo 1b",
    "mov x0, #0",
    // Each core, its number in x0.
    "2: mov x1, #(3 << 20)", // floating point on
    "msr cpacr_el1, x1",
    "adr x1, vectors",
    "msr vbar_el1, x1",
    "movz x1, #0xff00", // attribute 0 device, 1 write-back memory
    "msr mair_el1, x1",
    "movz x1, #0x3519",          // 39-bit addresses, 4 KiB granule, cached walks
    "movk x1, #0x0080, lsl #16", // no upper half
    "msr tcr_el1, x1",
    "adrp x1, _table",
    "msr ttbr0_el1, x1",
    "isb",
    "tlbi vmalle1",
    "dsb nsh",
    "isb",
    "mrs x1, sctlr_el1",
    "mov x2, #0x1005", // MMU, data and instruction caches
    "orr x1, x1, x2",
    "msr sctlr_el1, x1",
    "isb",
    "adrp x1, _stacks",
    "add x2, x0, #1",
    "add x1, x1, x2, lsl #16",
    "mov sp, x1",
    "bl core_main",
    "3: wfe",
    "b 3b",
    ".balign 2048",
    "vectors:",
    ".rept 16",
    "mrs x0, esr_el1",
    "mrs x1, elr_el1",
    "b on_exception",
    ".balign 128",
    ".endr",
);

#[unsafe(no_mangle)]
extern "C" fn on_exception(syndrome: usize, pc: usize) -> ! {
    panic!("exception {syndrome:#x} at {pc:#x} on core {}", core());
}

/// Which core this is.
pub fn core() -> usize {
    let id: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) id, options(nomem, nostack)) };
    id & 0xff
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const UART: *mut u32 = 0x900_0000 as *mut u32;
        for byte in text.bytes() {
            // SAFETY: this machine's PL011, which in QEMU always takes a byte.
            unsafe { UART.write_volatile(byte.into()) };
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
pub fn exit(status: usize) -> ! {
    let block = [0x20026, status]; // the application has ended, so
    loop {
        // SAFETY: the semihosting call SYS_EXIT, with its block of two words.
        unsafe { asm!("hlt #0xf000", in("x0") 0x18, in("x1") &block, lateout("x0") _) };
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    PRINTING.store(false, Relaxed);
    print(format_args!("FAILED {info}"));
    exit(1)
}
