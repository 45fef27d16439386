//! Random programs on virtual time, against a sequential model that is too simple to be wrong.

use super::{
    alarms::Alarms,
    bell::{MissedTicks, State},
};

/// xorshift64: the same numbers in each run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Create, stop, reset and let time pass, at random: what goes off, in which order, and what `take_out` says, is what a list says
/// that is searched from end to end. With ticks of all sizes, so that each level of the wheel has its turn.
#[test]
fn alarms_against_a_list() {
    for seed in 1..=600 {
        let mut dice = Dice::new(seed);
        // How far ahead alarms are set, and how long time passes at a stroke.
        let (far, long) = (dice.roll(60), dice.roll(60));
        let stretch = |roll: u64, by: u64| roll << by;
        let (mut alarms, mut now, mut names) = (Alarms::new(), dice.roll(100) << dice.roll(50), 0..);
        let mut model: Vec<(u64, u64)> = Vec::new(); // (tick, name), in the order in which they were set
        let mut keys = Vec::new();
        for _ in 0..500 {
            let tick = match dice.roll(8) {
                0 => u64::MAX - dice.roll(3),
                1 => now.saturating_sub(dice.roll(2)),
                2 => model.first().map_or(now, |first| first.0), // the same tick again
                _ => now.saturating_add(stretch(dice.roll(20), dice.roll(far + 1))),
            };
            match dice.roll(5) {
                0 | 1 => {
                    let name = names.next().unwrap();
                    keys.push((alarms.set(tick, name), name));
                    model.push((tick, name));
                }
                2 if !keys.is_empty() => {
                    let (key, name) = keys[dice.roll(keys.len() as u64) as usize];
                    let there = model.iter().position(|entry| entry.1 == name);
                    assert_eq!(alarms.take_out(key), there.map(|at| model.remove(at).1));
                }
                3 if !keys.is_empty() => {
                    // A reset: out, and in again under a new key.
                    let at = dice.roll(keys.len() as u64) as usize;
                    let (key, name) = keys.swap_remove(at);
                    let before = model.len();
                    model.retain(|entry| entry.1 != name);
                    assert_eq!(alarms.take_out(key).is_some(), model.len() < before);
                    let name = names.next().unwrap();
                    keys.push((alarms.set(tick, name), name));
                    model.push((tick, name));
                }
                _ => {
                    now = now.saturating_add(stretch(dice.roll(8), dice.roll(long + 1)));
                    let mut due: Vec<_> = model.iter().copied().filter(|entry| entry.0 <= now).collect();
                    due.sort_by_key(|entry| entry.0); // stable: of the same tick, the first set first
                    model.retain(|entry| entry.0 > now);
                    let went_off: Vec<_> = std::iter::from_fn(|| alarms.pop_due(now)).collect();
                    assert_eq!(went_off, due.iter().map(|entry| entry.1).collect::<Vec<_>>(), "seed {seed}");
                }
            }
            // Not each time: to ask for the first may deal out a list.
            if dice.roll(3) == 0 {
                assert_eq!(alarms.first(), model.iter().map(|entry| entry.0).min(), "seed {seed}");
            }
            assert_eq!(alarms.is_empty(), model.is_empty());
        }
    }
}

/// Many at once, so that room is given back at the end and made again; a key from before finds nothing.
#[test]
fn alarms_by_the_thousand() {
    let (mut alarms, mut dice, mut old) = (Alarms::new(), Dice::new(7), Vec::new());
    for round in 0..3_u64 {
        let ticks: Vec<_> = (0..5000).map(|_| round * 1_000_000_000 + dice.roll(100_000_000)).collect();
        let keys: Vec<_> = ticks.iter().map(|tick| alarms.set(*tick, *tick)).collect();
        assert!(old.iter().all(|key| alarms.take_out(*key).is_none()));
        // Every third is taken out, from anywhere; the others go off in order.
        let taken = keys.iter().step_by(3).filter_map(|key| alarms.take_out(*key)).count();
        let went_off: Vec<_> = std::iter::from_fn(|| alarms.pop_due(u64::MAX)).collect();
        assert!(went_off.is_sorted() && went_off.len() + taken == ticks.len());
        assert!(alarms.is_empty() && alarms.first().is_none());
        old = keys;
    }
}

/// A timer or ticker that is set, stopped and heard at random: each ring of the last setting is heard at most once, none
/// early, none of an earlier setting.
#[test]
fn bells_against_what_was_set_last() {
    for seed in 1..=500 {
        let mut dice = Dice::new(seed);
        let mut now = 100;
        let mut bell = State { when: None, period: 0, missed: MissedTicks::Skip };
        // The model: when it was set to, at which period, and how many rings were heard since.
        let mut set: Option<(u64, u64, u64)> = None;
        for _ in 0..300 {
            match dice.roll(5) {
                0 => {
                    let was = bell.is_due();
                    bell.when = None;
                    assert_eq!(was, set.take().is_some_and(|(_, period, heard)| period > 0 || heard == 0));
                }
                1 => {
                    let (first, period) = (now + dice.roll(10), [0, 1, 3, 7][dice.roll(4) as usize]);
                    bell = State { when: Some(first), period, missed: MissedTicks::Burst };
                    set = Some((first, period, 0));
                }
                2 => now += dice.roll(9),
                _ => {
                    // In a burst the n-th ring is n periods after the first.
                    let next = set.filter(|(_, period, heard)| *period > 0 || *heard == 0);
                    let next = next.map(|(first, period, heard)| first + heard * period).filter(|next| *next <= now);
                    assert_eq!(bell.hear(now), next);
                    if let (Some(_), Some((_, _, heard))) = (next, &mut set) {
                        *heard += 1;
                    }
                }
            }
        }
    }
}

/// The three policies, on a ticker that is heard late by two and a half periods.
#[test]
fn what_becomes_of_missed_ticks() {
    let heard = |missed| {
        let mut bell = State { when: Some(10), period: 10, missed };
        [10, 45, 46, 47, 50, 55, 61, 70].map(|now| bell.hear(now))
    };
    assert_eq!(heard(MissedTicks::Burst), [Some(10), Some(20), Some(30), Some(40), Some(50), None, Some(60), Some(70)]);
    assert_eq!(heard(MissedTicks::Skip), [Some(10), Some(20), None, None, Some(50), None, Some(60), Some(70)]);
    assert_eq!(heard(MissedTicks::Delay), [Some(10), Some(20), None, None, None, Some(55), None, Some(65)]);
}

#[test]
fn the_end_of_the_clock_is_never() {
    let mut bell = State { when: Some(u64::MAX - 5), period: 3, missed: MissedTicks::Burst };
    assert_eq!(bell.hear(u64::MAX), Some(u64::MAX - 5));
    assert_eq!(bell.hear(u64::MAX), Some(u64::MAX - 2));
    assert!(bell.is_due() && bell.hear(u64::MAX).is_none());
    let mut bell = State { when: Some(1), period: u64::MAX, missed: MissedTicks::Skip };
    assert_eq!(bell.hear(7), Some(1));
    assert!(bell.is_due() && bell.hear(u64::MAX).is_none());
}
