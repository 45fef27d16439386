//! Power series as green threads: what Go's `test/chan/powser1.go` computes, by a program of our own. The idea is Doug
//! McIlroy's, "Squinting at Power Series".
//!
//! ```text
//!              ask ────▶
//!   consumer             Out: a green thread that makes one coefficient each time it is asked, from the constant up
//!   (Series)  ◀──── term
//! ```
//!
//! A series that is at its end, or is not wanted any more, closes its channels by dropping them; so a whole web of
//! green threads ends when its last consumer goes. Every test waits for that.
//!
//! All the checks of Go's program are here (sums, multiples, derivative, integral, product, exponential, arc tangent),
//! and some more of series it can make but does not check: binomials, reciprocal, substitution.

use greenlight::{
    WaitGroup,
    channel::{Receiver, RecvError, Sender, bounded, never},
    select,
};
use greenlight_tests::{nowhere, on_workers};
use std::{
    collections::VecDeque,
    fmt,
    ops::{Add, Mul, Neg},
};

/// A fraction in lowest terms, its denominator positive.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ratio(i128, i128);

fn ratio(numerator: i128, denominator: i128) -> Ratio {
    fn gcd(a: i128, b: i128) -> i128 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    assert!(denominator != 0, "{numerator}/0");
    let by = gcd(numerator, denominator).abs() * denominator.signum();
    Ratio(numerator / by, denominator / by)
}

fn whole(number: i128) -> Ratio {
    Ratio(number, 1)
}

impl Add for Ratio {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        ratio(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
    }
}

impl Mul for Ratio {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        ratio(self.0 * other.0, self.1 * other.1)
    }
}

impl Neg for Ratio {
    type Output = Self;
    fn neg(self) -> Self {
        Ratio(-self.0, self.1)
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

/// The consumer's end.
struct Series {
    ask: Sender<()>,
    term: Receiver<Ratio>,
}

/// The producer's end.
struct Out {
    asked: Receiver<()>,
    term: Sender<Ratio>,
}

fn pipe() -> (Out, Series) {
    let ((ask, asked), (term, got)) = (bounded(0), bounded(0));
    (Out { asked, term }, Series { ask, term: got })
}

impl Series {
    /// The next coefficient, or None at the end: all further ones are zero.
    fn next(&self) -> Option<Ratio> {
        self.ask.send(()).ok()?;
        self.term.recv().ok()
    }

    fn take(&self, n: usize) -> Vec<Ratio> {
        (0..n).map_while(|_| self.next()).collect()
    }

    /// The next ones of two series, each asked for and received as it comes.
    fn next_of_both(&self, other: &Self) -> [Option<Ratio>; 2] {
        let both = [self, other];
        let (mut asks, mut terms) = (both.map(|series| series.ask.clone()), [never(), never()]);
        let (mut got, mut left) = ([None; 2], 2);
        while left > 0 {
            let (side, term) = select! {
                send(asks[0], ()) -> sent => (0, sent.err().map(|_| None)),
                send(asks[1], ()) -> sent => (1, sent.err().map(|_| None)),
                recv(terms[0]) -> term => (0, Some(term.ok())),
                recv(terms[1]) -> term => (1, Some(term.ok())),
            };
            asks[side] = nowhere();
            match term {
                None => terms[side] = both[side].term.clone(), // asked for
                Some(term) => {
                    terms[side] = never();
                    got[side] = term;
                    left -= 1;
                }
            }
        }
        got
    }
}

impl Out {
    /// Waits until the next one is asked for, then makes it. None if it is not wanted, or not there: then this is the
    /// end.
    fn put(&self, term: impl FnOnce() -> Option<Ratio>) -> Option<()> {
        self.asked.recv().ok()?;
        self.term.send(term()?).ok()
    }

    /// All that is left of `series`.
    fn put_all(&self, series: &Series) -> Option<()> {
        loop {
            self.put(|| series.next())?;
        }
    }
}

/// One of the two consumers of a split series, which go at their own speeds.
struct Side {
    out: Out,
    /// What the other one has had already.
    ahead: VecDeque<Ratio>,
    /// Whether it has asked and not been answered.
    wants: bool,
}

impl Side {
    /// Gives what it wants, if it is there. False if that was the last: it is gone, or has had everything.
    fn serve(&mut self, at_end: bool) -> bool {
        if !self.wants {
            return true;
        }
        match self.ahead.pop_front() {
            Some(term) => {
                self.wants = false;
                self.out.term.send(term).is_ok()
            }
            None => !at_end,
        }
    }
}

/// Serves two consumers of `input`. If the first one decides, this ends with it: what the second one wants is for the
/// first one's sake.
fn split(outs: [Out; 2], input: &Series, first_decides: bool) {
    let mut sides = outs.map(|out| Some(Side { out, ahead: VecDeque::new(), wants: false }));
    let (no_one_asks, no_one_listens, no_term) = (never(), nowhere(), never());
    let (mut asked, mut at_end) = (false, false);
    loop {
        for side in &mut sides {
            side.take_if(|side| !side.serve(at_end));
        }
        if sides[0].is_none() && (first_decides || sides[1].is_none()) {
            return;
        }
        // Of the five things to wait for, those that make no sense now are switched off.
        let listen_to =
            |side: &Option<Side>| side.as_ref().filter(|side| !side.wants).map(|side| side.out.asked.clone());
        let [left, right] = [0, 1].map(|i| listen_to(&sides[i]).unwrap_or_else(|| no_one_asks.clone()));
        let wanted = sides.iter().flatten().any(|side| side.wants);
        let ask = if wanted && !asked { &input.ask } else { &no_one_listens };
        let term = if asked { &input.term } else { &no_term };
        let hear = |side: &mut Option<Side>, asks: Result<(), RecvError>| match asks {
            Ok(()) => side.iter_mut().for_each(|side| side.wants = true),
            Err(_) => *side = None,
        };
        select! {
            recv(left) -> asks => hear(&mut sides[0], asks),
            recv(right) -> asks => hear(&mut sides[1], asks),
            send(ask, ()) -> sent => (asked, at_end) = (sent.is_ok(), sent.is_err()),
            recv(term) -> term => {
                (asked, at_end) = (false, term.is_err());
                if let Ok(term) = term {
                    sides.iter_mut().flatten().for_each(|side| side.ahead.push_back(term));
                }
            }
        }
    }
}

/// Makes series, and knows all their green threads.
#[derive(Clone, Default)]
struct Maker(WaitGroup);

impl Maker {
    fn series(&self, run: impl FnOnce(Out) -> Option<()> + Send + 'static) -> Series {
        let (out, series) = pipe();
        self.0.go(move || run(out));
        series
    }

    fn repeat(&self, term: i128) -> Series {
        self.series(move |out| {
            loop {
                out.put(|| Some(whole(term)))?;
            }
        })
    }

    fn polynomial(&self, terms: impl IntoIterator<Item = Ratio>) -> Series {
        let terms = Vec::from_iter(terms);
        self.series(move |out| terms.into_iter().try_for_each(|term| out.put(|| Some(term))))
    }

    fn split(&self, input: Series) -> (Series, Series) {
        let ((left, a), (right, b)) = (pipe(), pipe());
        self.0.go(move || split([left, right], &input, false));
        (a, b)
    }

    /// The series that `make` makes out of itself. It must give each term before it asks for that term.
    fn feedback(&self, make: impl FnOnce(Series) -> Series) -> Series {
        let ((out, result), (back, itself)) = (pipe(), pipe());
        let input = make(itself);
        self.0.go(move || split([out, back], &input, true));
        result
    }

    fn add(&self, u: Series, v: Series) -> Series {
        self.series(move |out| {
            loop {
                out.put(|| match u.next_of_both(&v) {
                    [None, None] => None,
                    both => Some(both.into_iter().flatten().fold(whole(0), Add::add)),
                })?;
            }
        })
    }

    fn scale(&self, by: Ratio, u: Series) -> Series {
        self.series(move |out| {
            loop {
                out.put(|| Some(by * u.next()?))?;
            }
        })
    }

    /// `constant + x · u`
    fn shift(&self, constant: Ratio, u: Series) -> Series {
        self.series(move |out| {
            out.put(|| Some(constant))?;
            out.put_all(&u)
        })
    }

    /// With `u = u₀ + x·u'` and `v = v₀ + x·v'`, the product is `u₀·v₀ + x·(u₀·v' + v₀·u' + x·u'·v')`.
    fn product(&self, u: Series, v: Series) -> Series {
        let make = self.clone();
        self.series(move |out| {
            let mut firsts = [None; 2];
            out.put(|| {
                firsts = u.next_of_both(&v);
                Some(firsts[0]? * firsts[1]?)
            })?;
            let [u0, v0] = [firsts[0]?, firsts[1]?];
            let ((u, u2), (v, v2)) = (make.split(u), make.split(v));
            let ends = make.add(make.scale(u0, v), make.scale(v0, u));
            // It recurs no further before it is asked.
            let inner = make.shift(whole(0), make.product(u2, v2));
            out.put_all(&make.add(ends, inner))
        })
    }

    fn derivative(&self, u: Series) -> Series {
        self.series(move |out| {
            u.next()?;
            for power in 1.. {
                out.put(|| Some(whole(power) * u.next()?))?;
            }
            None
        })
    }

    fn integral(&self, constant: Ratio, u: Series) -> Series {
        self.series(move |out| {
            out.put(|| Some(constant))?;
            for power in 1.. {
                out.put(|| Some(ratio(1, power) * u.next()?))?;
            }
            None
        })
    }

    /// `(1 + x)^power`
    fn binomial(&self, power: Ratio) -> Series {
        self.series(move |out| {
            let mut term = whole(1);
            for k in 0.. {
                out.put(|| Some(term).filter(|term| term.0 != 0))?;
                term = term * (power + whole(-k)) * ratio(1, k + 1);
            }
            None
        })
    }

    /// `1 / u`: with `z₀ = 1 / u₀` and `u = u₀ + x·u'`, it is `z = z₀ - z₀ · x·u'·z`.
    fn reciprocal(&self, u: Series) -> Series {
        let u0 = u.next().expect("a series with a constant term");
        let z0 = ratio(u0.1, u0.0);
        self.feedback(|z| self.shift(z0, self.scale(-z0, self.product(u, z))))
    }

    /// `e^u`, without the constant term of `u`: its derivative is `e^u · u'`.
    fn exponential(&self, u: Series) -> Series {
        self.feedback(|z| self.integral(whole(1), self.product(z, self.derivative(u))))
    }

    /// `u(by · x^n)`
    fn substitute_monomial(&self, u: Series, by: Ratio, n: usize) -> Series {
        self.series(move |out| {
            let mut factor = whole(1);
            loop {
                out.put(|| Some(factor * u.next()?))?;
                factor = factor * by;
                for _ in 1..n {
                    out.put(|| Some(whole(0)))?;
                }
            }
        })
    }

    /// `u(v)`, where `v` has no constant term: with `u = u₀ + x·u'` and `v = x·v'`, it is `u₀ + x·v'·u'(v)`.
    fn substitute(&self, u: Series, v: Series) -> Series {
        let make = self.clone();
        self.series(move |out| {
            out.put(|| u.next())?;
            let (v, v2) = make.split(v);
            assert_eq!(v.next(), Some(whole(0)), "no constant term");
            out.put_all(&make.product(v, make.substitute(u, v2)))
        })
    }
}

/// The series begins with these terms, as fractions; with `end`, it has no more.
fn check(series: impl Fn(&Maker) -> Series, expected: &[(i128, i128)], end: bool) {
    let make = Maker::default();
    let series = series(&make);
    let expected: Vec<_> = expected.iter().map(|(numerator, denominator)| ratio(*numerator, *denominator)).collect();
    assert_eq!(series.take(expected.len()), expected);
    if end {
        assert_eq!(series.next(), None);
    }
    drop(series);
    make.0.wait(); // every green thread behind it has ended
}

fn wholes(terms: impl IntoIterator<Item = i128>) -> Vec<(i128, i128)> {
    terms.into_iter().map(|term| (term, 1)).collect()
}

#[test]
fn sums_and_multiples() {
    on_workers(|| {
        check(|make| make.repeat(1), &wholes([1; 10]), false);
        check(|make| make.add(make.repeat(1), make.repeat(2)), &wholes([3; 10]), false);
        check(|make| make.scale(whole(-1), make.repeat(2)), &wholes([-2; 10]), false);
        let difference = |make: &Maker| make.add(make.repeat(1), make.scale(whole(-1), make.repeat(2)));
        check(difference, &wholes([-1; 10]), false);
        let short = |make: &Maker| make.polynomial([1, 2, 3].map(whole));
        check(|make| make.add(short(make), make.repeat(1)), &wholes([2, 3, 4, 1, 1, 1]), false);
        check(|make| make.add(short(make), short(make)), &wholes([2, 4, 6]), true);
        check(|make| make.shift(whole(7), short(make)), &wholes([7, 1, 2, 3]), true);
    });
}

#[test]
fn derivative_and_integral() {
    on_workers(|| {
        check(|make| make.derivative(make.repeat(1)), &wholes(1..=10), false);
        let fractions: Vec<_> = [(0, 1)].into_iter().chain((1..10).map(|i| (1, i))).collect();
        check(|make| make.integral(whole(0), make.repeat(1)), &fractions, false);
        check(|make| make.derivative(make.polynomial([5, 1, 2].map(whole))), &wholes([1, 4]), true);
    });
}

#[test]
fn product() {
    on_workers(|| {
        check(|make| make.product(make.repeat(1), make.repeat(1)), &wholes(1..=10), false);
        let cubes = |make: &Maker| make.product(make.repeat(1), make.product(make.repeat(1), make.repeat(1)));
        check(cubes, &wholes([1, 3, 6, 10, 15, 21, 28, 36]), false);
    });
}

#[test]
fn exponential() {
    // x + x² + x³ + …: its constant term, 1, is not looked at.
    const TERMS: [(i128, i128); 10] = [
        (1, 1),
        (1, 1),
        (3, 2),
        (13, 6),
        (73, 24),
        (167, 40),
        (4051, 720),
        (37633, 5040),
        (43817, 4480),
        (4596553, 362880),
    ];
    on_workers(|| {
        check(|make| make.exponential(make.repeat(1)), &TERMS, false);
        let e = [1, 1, 2, 6, 24, 120, 720].map(|factorial| (1, factorial));
        check(|make| make.exponential(make.polynomial([0, 1].map(whole))), &e, false);
    });
}

#[test]
fn arc_tangent() {
    on_workers(|| {
        let series = |make: &Maker| {
            make.integral(whole(0), make.substitute_monomial(make.repeat(1), whole(-1), 2)) // of 1 / (1 + x²)
        };
        check(series, &[(0, 1), (1, 1), (0, 1), (-1, 3), (0, 1), (1, 5), (0, 1), (-1, 7), (0, 1), (1, 9)], false);
    });
}

#[test]
fn binomial_reciprocal_and_substitution() {
    on_workers(|| {
        check(|make| make.binomial(whole(3)), &wholes([1, 3, 3, 1]), true);
        check(|make| make.binomial(ratio(1, 2)), &[(1, 1), (1, 2), (-1, 8), (1, 16), (-5, 128)], false);
        check(|make| make.reciprocal(make.polynomial([1, -1].map(whole))), &wholes([1; 10]), false);
        check(|make| make.reciprocal(make.repeat(2)), &[(1, 2), (-1, 2), (0, 1), (0, 1), (0, 1)], false);
        // 1 / (1 - (x + x²)): Fibonacci's numbers.
        let fibonacci = |make: &Maker| make.substitute(make.repeat(1), make.polynomial([0, 1, 1].map(whole)));
        check(fibonacci, &wholes([1, 1, 2, 3, 5, 8, 13, 21]), false);
    });
}
