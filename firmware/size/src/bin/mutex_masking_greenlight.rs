#![no_std]
#![no_main]

use greenlight_core::CriticalMutex;

static MUTEX: CriticalMutex<u32> = CriticalMutex::new(0);

size::program!(MUTEX.with(|value| *value += size::input()), MUTEX.with(|value| *value += size::input()));
