#![no_std]
#![no_main]

use greenlight_core::SpinMutex;

static MUTEX: SpinMutex<u32> = SpinMutex::new(0);

size::program!(
    *MUTEX.lock() += size::input(),
    if let Some(mut value) = MUTEX.try_lock() {
        *value += size::input();
    }
);
