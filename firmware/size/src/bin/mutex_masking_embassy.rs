#![no_std]
#![no_main]

use core::cell::RefCell;
use embassy_sync::blocking_mutex::{Mutex, raw::CriticalSectionRawMutex};

static MUTEX: Mutex<CriticalSectionRawMutex, RefCell<u32>> = Mutex::new(RefCell::new(0));

size::program!(
    MUTEX.lock(|value| *value.borrow_mut() += size::input()),
    MUTEX.lock(|value| *value.borrow_mut() += size::input())
);
