//! What the tasks compute, the same in every language: a chain of instructions none of which can begin before the last ends.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// So many rounds of it take a microsecond, about, at 3 GHz.
pub(crate) const ROUNDS_PER_US: u32 = 400;

/// Marsaglia's xorshift.
#[inline(never)]
pub(crate) fn arithmetic(mut value: u64, rounds: u32) -> u64 {
    for _ in 0..rounds {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
    }
    value
}

/// What goes through a pipeline or a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) value: u64,
}

impl Job {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, value: number + 1 }
    }

    pub(crate) fn work(self, us: u32) -> Self {
        Self { value: arithmetic(self.value, us * ROUNDS_PER_US), ..self }
    }
}

/// Which jobs came out: each number once, and, of every 64th, that the work was done.
#[derive(Default)]
pub(crate) struct Results {
    count: u64,
    numbers: u64,
    wrong: u64,
}

impl Results {
    pub(crate) fn add(&mut self, job: Job, us: u32) {
        self.count += 1;
        self.numbers += job.number;
        self.wrong += u64::from(job.number.is_multiple_of(64) && Job::new(job.number).work(us) != job);
    }

    /// Ends the process unless these are all of `0..jobs`.
    pub(crate) fn check(&self, jobs: usize) {
        let jobs = jobs as u64;
        crate::peer::check(
            "the jobs' count, sum, and number of wrong ones",
            [self.count, self.numbers, self.wrong],
            [jobs, jobs * jobs.saturating_sub(1) / 2, 0],
        );
    }
}

/// How long the task `index` of `timers` sleeps, in us: below 100 ms.
pub(crate) fn nap_us(index: usize) -> u64 {
    (index as u64).wrapping_mul(2_654_435_761) % (1 << 32) % 100_000
}

/// The nearest smaller power of ten: how many leaves a tree of tens can have.
pub(crate) fn power_of_ten(number: usize) -> u64 {
    10_u64.pow((number.max(10) as f64).log10().floor() as u32)
}

/// The argument of `fib` whose cost is `scale` times that of 23; each step costs 1.618 times the one before.
pub(crate) fn fib_argument(scale: f64) -> u64 {
    (23.0 + scale.ln() / 0.481_211_825).round().clamp(5.0, 40.0) as u64
}

/// The n-th Fibonacci number.
pub(crate) fn fib(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

/// The first prime numbers' last: what the sieve must find.
pub(crate) fn nth_prime(n: usize) -> u64 {
    let mut primes: Vec<u64> = Vec::with_capacity(n);
    let mut candidate = 2;
    while primes.len() < n {
        if primes.iter().take_while(|prime| *prime * *prime <= candidate).all(|prime| candidate % prime != 0) {
            primes.push(candidate);
        }
        candidate += 1;
    }
    primes[n - 1]
}

/// Computes for so long, without a call that waits.
pub(crate) fn spin(time: Duration) {
    let start = Instant::now();
    let mut value = 1;
    while start.elapsed() < time {
        value = black_box(arithmetic(value, ROUNDS_PER_US));
    }
}

/// The figures of a task that slept 1 ms at a time while others spun, from how late each sleep ended. The p50 is that of the sleeps
/// in which half of the time has passed: who starves has few of them, and long ones.
pub(crate) fn lateness(mut late: Vec<Duration>) -> Vec<(&'static str, f64)> {
    late.sort_unstable();
    let slept = |late: &Duration| *late + Duration::from_millis(1);
    let half = late.iter().map(slept).sum::<Duration>() / 2;
    let mut passed = Duration::ZERO;
    let middle = late.iter().find(|late| {
        passed += slept(late);
        passed >= half
    });
    let ms = |time: Option<&Duration>| time.expect("a sleep").as_secs_f64() * 1e3;
    vec![("p50 ms", ms(middle)), ("max ms", ms(late.last()))]
}
