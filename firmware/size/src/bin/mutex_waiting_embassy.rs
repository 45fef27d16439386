#![no_std]
#![no_main]

use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, mutex::Mutex};

static MUTEX: Mutex<CriticalSectionRawMutex, u32> = Mutex::new(0);

size::program!(
    *size::block_on(MUTEX.lock()) += size::input(),
    if let Ok(mut value) = MUTEX.try_lock() {
        *value += size::input();
    }
);
