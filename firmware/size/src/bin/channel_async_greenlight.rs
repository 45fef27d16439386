#![no_std]
#![no_main]

use greenlight_core::channel::StaticChannel;

static CHANNEL: StaticChannel<u32, 16> = StaticChannel::new();

size::program!(
    size::output(size::block_on(async {
        let _ = CHANNEL.sender().send_async(size::input()).await;
        CHANNEL.receiver().recv_async().await.ok()
    })),
    size::output(CHANNEL.sender().try_send(size::input()).is_ok())
);
