#![no_std]
#![no_main]

//! It waits by polling.

use greenlight_core::Mutex;

static MUTEX: Mutex<u32> = Mutex::new(0);

size::program!(
    *MUTEX.lock() += size::input(),
    if let Some(mut value) = MUTEX.try_lock() {
        *value += size::input();
    }
);
