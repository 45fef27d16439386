//! A program in which everybody waits for everybody: greenlight says so, with a line for each green thread, and exit code 2.
//!
//! ```text
//! cargo run --release --example deadlock
//! ```

use greenlight::{channel::bounded, go};

#[greenlight::main]
fn main() {
    // Nobody receives from this one …
    let (numbers, _nobody_receives) = bounded(0);
    // … and nobody sends on that one.
    let (_nobody_sends, words) = bounded::<String>(0);

    go(move || words.iter().for_each(|word| println!("{word}")));

    println!("sending on an unbuffered channel with nobody to receive");
    numbers.send(42).expect("never gets here");
}
