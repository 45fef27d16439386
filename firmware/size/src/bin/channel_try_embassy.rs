#![no_std]
#![no_main]

use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, channel::Channel};

static CHANNEL: Channel<CriticalSectionRawMutex, u32, 16> = Channel::new();

size::program!(size::output(CHANNEL.try_receive().ok()), size::output(CHANNEL.try_send(size::input()).is_ok()));
