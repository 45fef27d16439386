#![no_std]
#![no_main]

size::program!(size::output(size::input()), size::output(size::input()));
