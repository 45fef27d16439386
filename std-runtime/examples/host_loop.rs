//! A program with a loop of its own, as that of a window system, in which green threads take part: events come from anywhere, tasks
//! run between them, all on one thread.
//!
//! ```text
//! cargo run --example host_loop
//! ```

use greenlight::{LocalRuntime, channel::unbounded, sleep};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

enum Event {
    /// The runtime has work.
    Drive,
    Key(char),
}

fn main() -> std::io::Result<()> {
    let (events, queue) = mpsc::channel();
    let wake = events.clone();
    let runtime = LocalRuntime::with_wake(move || _ = wake.send(Event::Drive))?;

    // The state of the window: no lock, since all who touch it are on this thread.
    let screen = Rc::new(RefCell::new(String::new()));
    let (keys, typed) = unbounded::<char>();
    let shown = screen.clone();
    runtime.go_local(move || typed.iter().for_each(|key| shown.borrow_mut().push(key)));
    let blink = screen.clone();
    let cursor = runtime.go_local(move || {
        for _ in 0..3 {
            sleep(Duration::from_millis(5));
            blink.borrow_mut().push('_');
        }
    });

    // The user.
    thread::spawn(move || "hello".chars().for_each(|key| _ = events.send(Event::Key(key))));

    let mut state = runtime.drive();
    while screen.borrow().len() < 8 || !cursor.is_finished() {
        let left = state.next.map_or(Duration::MAX, |next| next.saturating_duration_since(Instant::now()));
        match queue.recv_timeout(left) {
            Ok(Event::Key(key)) => _ = keys.send(key),
            Ok(Event::Drive) | Err(RecvTimeoutError::Timeout) => state = runtime.drive(),
            Err(RecvTimeoutError::Disconnected) => unreachable!("the hook has a sender"),
        }
    }
    let letters: String = screen.borrow().chars().filter(|&letter| letter != '_').collect();
    println!("{letters}, and the cursor has blinked {} times", screen.borrow().len() - letters.len());
    Ok(())
}
