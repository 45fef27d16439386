//! Under embassy's executor, on one stack: futures that wait for each other and for an interrupt handler, on static channels.
#![no_std]
#![no_main]

use core::{future::Future, pin::pin, task::Poll};
use cortex_m_firmware::{Count, Frame, entry, pass, println, set_tick};
use embassy_executor::{Executor, Spawner};
use greenlight_core::{
    Watch,
    channel::{StaticChannel, select},
};

const NUMBERS: u32 = 2000;
static UP: StaticChannel<u32, 2> = StaticChannel::new();
static BACK: StaticChannel<u32, 1> = StaticChannel::new();
/// From the handler.
static TICKS: StaticChannel<u32, 2> = StaticChannel::new();
static TICKED: Count = Count::new();
static LEVEL: Watch<u32> = Watch::new(0);

/// Each tick is numbered: one that does not fit is sent the next time, so that none is left out.
#[unsafe(no_mangle)]
extern "C" fn on_tick(_: &Frame) {
    if TICKS.sender().try_send(TICKED.get()).is_ok() {
        TICKED.bump();
    }
    set_tick(3_000 + TICKED.get() % 1_000);
}

#[embassy_executor::task]
async fn produce() {
    for number in 0..NUMBERS {
        UP.sender().send_async(number).await.unwrap();
        assert_eq!(BACK.receiver().recv_async().await, Ok(2 * number));
    }
    UP.sender().close();
}

/// The next tick in the row. The control loses one.
fn count(ticks: &mut u32, tick: u32) {
    if tick != 100 || cfg!(not(feature = "broken")) {
        assert_eq!(tick, *ticks, "a tick was lost");
        *ticks += 1;
    }
}

#[embassy_executor::task]
async fn consume() {
    let (mut ticks, mut selected) = (0, 0);
    let (numbers, from_handler) = (UP.receiver(), TICKS.receiver());
    loop {
        // A look, which takes what the handler has put there since the last await.
        select! {
            recv(from_handler) -> tick => {
                count(&mut ticks, tick.unwrap());
                selected += 1;
            }
            default => {}
        }
        let (mut number, mut tick) = (pin!(numbers.recv_async()), pin!(from_handler.recv_async()));
        // The first of the two. The other is dropped, and what came for it meanwhile stays in its channel.
        let first = core::future::poll_fn(|cx| match tick.as_mut().poll(cx) {
            Poll::Ready(tick) => Poll::Ready(Err(tick.unwrap())),
            Poll::Pending => number.as_mut().poll(cx).map(Ok),
        });
        match first.await {
            Err(tick) => count(&mut ticks, tick),
            Ok(Ok(number)) => {
                BACK.sender().send_async(2 * number).await.unwrap();
                LEVEL.send(number + 1);
            }
            Ok(Err(_)) => break,
        }
    }
    assert!(ticks > 100 && selected > 0, "only {ticks} ticks, {selected} of them by select");
    // The executor stands still, as in any call that blocks: only the handler can end this one.
    for _ in 0..20 {
        select! {
            recv(from_handler) -> tick => count(&mut ticks, tick.unwrap()),
            recv(BACK.receiver()) -> number => panic!("nobody sent {number:?}"),
        }
    }
    println!("  {NUMBERS} numbers there and back, {ticks} ticks, {selected} by a look of select, 20 by one that waits");
    LEVEL.send(u32::MAX);
}

#[embassy_executor::task]
async fn watch() {
    let mut watcher = LEVEL.subscribe();
    let mut last = 0;
    while last != u32::MAX {
        watcher.changed_async().await;
        let level = watcher.get();
        assert!(level > last, "{level} after {last}");
        last = level;
    }
    println!("test embassy ... ok");
    pass()
}

#[entry]
fn main() -> ! {
    let mut executor = Executor::new();
    // SAFETY: `run` never returns, so the executor, on main's stack, stays for ever.
    let executor: &'static mut Executor = unsafe { core::mem::transmute(&mut executor) };
    set_tick(3_000);
    executor.run(|spawner: Spawner| {
        spawner.spawn(produce().unwrap());
        spawner.spawn(consume().unwrap());
        spawner.spawn(watch().unwrap());
    })
}
