#![no_std]
#![no_main]

use greenlight_core::channel::StaticChannel;

static CHANNEL: StaticChannel<u32, 16> = StaticChannel::new();

size::program!(
    size::output(CHANNEL.receiver().try_recv().ok()),
    size::output(CHANNEL.sender().try_send(size::input()).is_ok())
);
