#![no_std]
#![no_main]
#![allow(deprecated)]

static QUEUE: heapless::mpmc::Queue<u32, 16> = heapless::mpmc::Queue::new();

size::program!(size::output(QUEUE.dequeue()), size::output(QUEUE.enqueue(size::input()).is_ok()));
