//! Go's concurrency in eight steps, each of which prints what it shows.
//!
//! ```text
//! cargo run --release --example tour
//! ```

use greenlight::{Mutex, Runtime, RwLock, WaitGroup, channel, defer, go, run, select, sleep};
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

const CALL: Duration = Duration::from_millis(20);

/// A "database" that takes its time to answer.
fn db_call(i: u32) -> u32 {
    sleep(CALL);
    i * i
}

fn main() {
    run(goroutines);
    run(wait_groups);
    run(mutexes);
    run(rw_locks);
    compute();
    run(channels);
    deadlock();
    run(selects);

    // A program whose main returns ends without waiting for its green threads, and says nothing about it.
    go(|| {
        sleep(Duration::from_secs(3600));
        println!("never printed");
    });
    println!("\nmain returns; a green thread that would sleep for an hour goes with it");
}

fn goroutines() {
    println!("1. go: ten database calls at once");
    let start = Instant::now();
    let calls: Vec<_> = (0..10).map(|i| go!(db_call(i))).collect();
    println!("   go returned ten times after {:.1?}", start.elapsed());
    let answers: Vec<u32> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    println!("   {answers:?} after {:.1?}, where one after the other takes {:.0?}", start.elapsed(), CALL * 10);
}

fn wait_groups() {
    println!("\n2. WaitGroup: wait until all are done");
    let wg = WaitGroup::new();
    let answered = Arc::new(AtomicUsize::new(0));
    for i in 0..5 {
        // In Go: wg.Add(1); go func() { defer wg.Done(); … }()
        wg.add(1);
        let (done, answered) = (wg.done_on_drop(), answered.clone());
        go(move || {
            let _done = done;
            db_call(i);
            answered.fetch_add(1, Relaxed);
        });
    }
    for i in 5..10 {
        // The same in short, also in Go since 1.25.
        let answered = answered.clone();
        wg.go(move || {
            db_call(i);
            answered.fetch_add(1, Relaxed);
        });
    }
    wg.wait();
    println!("   {} calls answered", answered.load(Relaxed));
    let misuse = go(move || wg.done());
    println!("   one done too many is a panic of that green thread: {}", misuse.join().is_err());
}

fn mutexes() {
    println!("\n3. Mutex: where the lock is taken matters");
    let results = Arc::new(Mutex::new(Vec::new()));
    let timed = |call: fn(u32, &Mutex<Vec<u32>>)| {
        let (wg, start) = (WaitGroup::new(), Instant::now());
        for i in 0..10 {
            let results = results.clone();
            wg.go(move || call(i, &results));
        }
        wg.wait();
        start.elapsed()
    };
    let around_the_write = timed(|i, results| {
        let answer = db_call(i);
        results.lock().push(answer);
    });
    println!("   lock around the write:      {around_the_write:.1?}");
    let around_the_call = timed(|i, results| {
        let mut results = results.lock();
        results.push(db_call(i));
    });
    println!("   lock around the whole call: {around_the_call:.1?}, since the calls wait for each other");
    println!("   {} results", results.lock().len());
}

fn rw_locks() {
    println!("\n4. RwLock: readers together, writers alone");
    let (wg, settings) = (WaitGroup::new(), Arc::new(RwLock::new(0_u32)));
    let (inside, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..8 {
        let (settings, inside, together) = (settings.clone(), inside.clone(), together.clone());
        wg.go(move || {
            let value = settings.read();
            together.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            db_call(*value);
            inside.fetch_sub(1, SeqCst);
        });
    }
    sleep(CALL / 4); // the readers are inside by now
    for _ in 0..2 {
        let (settings, inside) = (settings.clone(), inside.clone());
        wg.go(move || {
            let mut value = settings.write();
            assert_eq!(inside.load(SeqCst), 0, "a writer is alone");
            *value += 1;
        });
    }
    wg.wait();
    println!(
        "   at most {} readers were inside together; 2 writers brought the value to {}",
        together.load(SeqCst),
        settings.read()
    );
}

fn compute() {
    println!("\n5. Compute: more workers, less time");
    let count_primes = |workers: usize| {
        let runtime = Runtime::builder().workers(workers).build().expect("a runtime");
        runtime.run(|| {
            let start = Instant::now();
            let parts: Vec<_> = (0..16_u32)
                .map(|part| go(move || (part * 40_000..(part + 1) * 40_000).filter(|n| is_prime(*n)).count()))
                .collect();
            let primes: usize = parts.into_iter().map(|part| part.join().unwrap()).sum();
            (primes, start.elapsed())
        })
    };
    let all = thread::available_parallelism().map_or(1, usize::from);
    let ((primes, one), (same, many)) = (count_primes(1), count_primes(all));
    assert_eq!(primes, same);
    println!("   {primes} primes with 1 worker: {one:.1?}; with {all}: {many:.1?}");
    println!("   speed-up {:.2}", one.as_secs_f64() / many.as_secs_f64());
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn channels() {
    println!("\n6. Channels: unbuffered, buffered, unbounded");
    let (tx, rx) = channel::bounded(0);
    let start = Instant::now();
    let sender = go(move || {
        tx.send("hello").unwrap();
        start.elapsed()
    });
    sleep(CALL);
    println!(
        "   unbuffered: {:?}, and the send took {:.1?}: it waited for us",
        rx.recv().unwrap(),
        sender.join().unwrap()
    );

    let (tx, rx) = channel::bounded(5);
    let sent = (0..).take_while(|i| tx.try_send(*i).is_ok()).count();
    println!("   bounded(5): took {sent} values with nobody there");
    tx.close();
    println!(
        "   closed: sends fail ({}), what is in it comes out: {:?}",
        tx.send(9).is_err(),
        rx.iter().collect::<Vec<_>>()
    );

    let (tx, rx) = channel::unbounded();
    go(move || {
        defer!(tx.close()); // whatever happens below
        for i in 0..10_u32 {
            tx.send(db_call(i) / 10).unwrap();
        }
    });
    let mut sum = 0;
    for value in &rx {
        sum += value;
    }
    println!("   unbounded: `for value in &rx` ended by the deferred close, sum {sum}");
}

fn deadlock() {
    println!("\n7. Deadlock: a send with nobody to receive, in a program of its own");
    let this = std::env::current_exe().expect("the path of this program");
    let example = this.with_file_name("deadlock");
    let mut program = if example.exists() {
        Command::new(example)
    } else {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["run", "--quiet", "--release", "--package", "greenlight", "--example", "deadlock"]);
        cargo
    };
    let output = program.output().expect("the deadlock example");
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("   | {line}");
    }
    println!("   exit code {:?}", output.status.code());
}

fn selects() {
    println!("\n8. select!: the first of several");
    let (numbers_tx, numbers) = channel::bounded(0);
    let (words_tx, words) = channel::bounded(0);
    go(move || {
        for i in 0..3 {
            sleep(CALL);
            numbers_tx.send(i).unwrap();
        }
    });
    go(move || {
        for word in ["a", "b"] {
            sleep(CALL * 3 / 2);
            words_tx.send(word).unwrap();
        }
    });
    let (mut numbers, mut words) = (numbers, words);
    let mut open = 2;
    while open > 0 {
        select! {
            recv(numbers) -> number => match number {
                Ok(number) => println!("   number {number}"),
                Err(_) => (open, numbers) = (open - 1, channel::never()),
            },
            recv(words) -> word => match word {
                Ok(word) => println!("   word {word}"),
                Err(_) => (open, words) = (open - 1, channel::never()),
            },
        }
    }
    let (_tx, silent) = channel::bounded::<()>(0);
    select! {
        recv(silent) -> _ => unreachable!(),
        default => println!("   default: nothing can happen now"),
    }
    let start = Instant::now();
    select! {
        recv(silent) -> _ => unreachable!(),
        default(CALL) => println!("   timeout: nothing happened for {:.0?}", start.elapsed()),
    }
}
