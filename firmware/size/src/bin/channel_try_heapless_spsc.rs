#![no_std]
#![no_main]

//! One sender and one receiver. Each half is reached as its own core would: through a pointer that only it has.

use heapless::spsc::{Consumer, Producer, Queue};

// One place of such a queue stays empty.
static mut QUEUE: Queue<u32, 17> = Queue::new();
static mut PRODUCER: Option<Producer<'static, u32>> = None;
static mut CONSUMER: Option<Consumer<'static, u32>> = None;

#[size::entry]
fn main() -> ! {
    // SAFETY: before there is an interrupt that would use them.
    unsafe {
        let (producer, consumer) = (*(&raw mut QUEUE)).split();
        (PRODUCER, CONSUMER) = (Some(producer), Some(consumer));
    }
    loop {
        // SAFETY: main alone uses this half.
        let consumer = unsafe { (*(&raw mut CONSUMER)).as_mut() };
        size::output(consumer.and_then(Consumer::dequeue));
    }
}

#[size::exception]
fn SysTick() {
    // SAFETY: the handler alone uses this half.
    let producer = unsafe { (*(&raw mut PRODUCER)).as_mut() };
    size::output(producer.map(|producer| producer.enqueue(size::input()).is_ok()));
}
