//! What the pool promises (T1 to T5), with pools of the tests' own; and what it takes from the kernel, in processes of
//! their own.

use super::*;
use crate::header::TaskRef;
use std::collections::HashSet;
#[cfg(not(any(greenlight_asan, greenlight_tsan)))]
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicU8;

/// Of the default class.
const BATCH: u32 = (BATCH_BYTES / Class::DEFAULT.size()) as u32;

const CHILD: &str = "GREENLIGHT_TEST_CHILD";

/// The name that the test harness knows a test of this module by.
macro_rules! test_name {
    ($test:literal) => {
        concat!(module_path!(), "::", $test).split_once("::").unwrap().1
    };
}
pub(crate) use test_name;

/// How a child ends whose body came to its end: not like one that found no test of its name.
pub(crate) const ENDED_WELL: i32 = 77;

/// Runs this test binary: through an emulator, if this process runs through one too and the environment says which.
pub(crate) fn this_binary() -> Command {
    let runner = std::env::var("GREENLIGHT_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let binary = std::env::current_exe().unwrap();
    let Some(emulator) = words.next() else { return Command::new(binary) };
    let mut command = Command::new(emulator);
    command.args(words).arg(binary);
    command
}

/// Runs `body` for each of `cases` in a process of its own: this test binary again, with the test `name` only, which
/// comes here again. Returns in the parent only.
pub(crate) fn in_children<const N: usize>(name: &str, cases: [&str; N], body: impl FnOnce(&str)) -> [Output; N] {
    if let Ok(child) = std::env::var(CHILD) {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: reads a local.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
        body(&child);
        std::process::exit(ENDED_WELL);
    }
    cases.map(|case| {
        this_binary()
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, case)
            .env("RUST_BACKTRACE", "0")
            // For the address sanitizer: children end in the middle of things.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    })
}

/// `in_children`, with one case.
pub(crate) fn in_child(name: &str, body: impl FnOnce()) -> Output {
    let [output] = in_children(name, ["the only one"], |_| body());
    output
}

/// `in_child`, for a child that is to end well.
pub(crate) fn in_child_ok(name: &str, body: impl FnOnce()) {
    let output = in_child(name, body);
    assert_eq!(output.status.code(), Some(ENDED_WELL), "{}", String::from_utf8_lossy(&output.stderr));
}

fn leak(slots: u32, guards: Guards) -> &'static Pool {
    Box::leak(Box::new(Pool::new(Class::DEFAULT, slots, guards)))
}

/// A slot, by the stack that belongs to it: nobody here exchanges them (T7).
fn acquire_from(pool: &Pool) -> Result<Stack, StackError> {
    pool.acquire().map(|index| pool.region().stack(index))
}

fn release(pool: &Pool, stack: Stack) {
    let index = pool.region().index_of(stack.base().addr()).unwrap();
    // SAFETY: the tests own what they acquired, and run nothing on it unless they say so.
    unsafe { pool.release(index) }
}

fn byte(address: *mut u8) -> &'static AtomicU8 {
    // SAFETY: the tests call this for the usable part of slots only (T1); a byte is always an AtomicU8.
    unsafe { AtomicU8::from_ptr(address) }
}

/// How many areas the kernel keeps for this process.
#[cfg(not(any(greenlight_asan, greenlight_tsan)))]
fn areas() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// T2: the slot released last is the one acquired next; and none is given out twice.
#[test]
fn last_released_is_first_acquired() {
    let pool = leak(100, Guards::Marked);
    let [a, b, c] = std::array::from_fn(|_| acquire_from(pool).unwrap());
    assert!(a != b && b != c && a != c);
    release(pool, a);
    release(pool, c);
    release(pool, b);
    assert_eq!([b, c, a], std::array::from_fn(|_| acquire_from(pool).unwrap()));
    let fresh = acquire_from(pool).unwrap();
    assert!(![a, b, c].contains(&fresh));
}

/// T2: the second release of a slot is caught where debug assertions are on.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "checked with debug assertions only")]
fn second_release_is_caught() {
    let pool = leak(100, Guards::Marked);
    let slot = acquire_from(pool).unwrap();
    release(pool, slot);
    assert!(catch_unwind(AssertUnwindSafe(|| release(pool, slot))).is_err());
}

/// T1, T3: zero, writable from the guard's end to the slot's, kept across a release, aligned to the slot's size. The card lies above the stack.
#[test]
fn memory_is_zero_at_first_and_stays() {
    for guards in [Guards::Marked, Guards::Protected] {
        let pool = leak(40, guards);
        for round in 0..40 {
            let stack = acquire_from(pool).unwrap();
            assert_eq!(stack.base().addr() % Class::DEFAULT.size(), 0);
            assert_eq!(stack.end().addr() - stack.base().addr(), Class::DEFAULT.size());
            assert_eq!(stack.guard_end().addr() - stack.base().addr(), guard_size());
            assert_eq!(stack.end().addr() - stack.top().addr(), CARD_SIZE);
            for edge in [stack.guard_end(), stack.end().wrapping_sub(1)] {
                assert_eq!(byte(edge).swap(round + 1, Relaxed), 0);
            }
            if round % 2 == 0 {
                release(pool, stack);
                assert_eq!(byte(stack.guard_end()).load(Relaxed), round + 1, "the pool wrote to a slot");
                assert_eq!(byte(stack.end().wrapping_sub(1)).load(Relaxed), round + 1, "the pool wrote to a slot");
                assert_eq!(acquire_from(pool).unwrap(), stack);
            }
        }
    }
}

/// T4: `around` knows the first and the last byte of each stack handed out, free or not, and nothing else.
#[test]
fn around_knows_the_bounds() {
    let pool = leak(100, Guards::Marked);
    assert_eq!(pool.around(0), None);
    assert_eq!(pool.around(usize::MAX), None);
    let [a, b] = std::array::from_fn(|_| acquire_from(pool).unwrap());
    release(pool, a);
    assert_eq!(a.end(), b.base());
    for stack in [a, b] {
        assert_eq!(pool.around(stack.base().addr()), Some(stack));
        assert_eq!(pool.around(stack.end().addr() - 1), Some(stack));
    }
    assert_eq!(pool.around(a.base().addr() - 1), None);
    assert_eq!(pool.around(b.end().addr()), None, "ready, but never handed out");
    let mut all = Vec::new();
    pool.for_each_slot(|slot| all.push(pool.region().stack(pool.index_of(slot))));
    assert_eq!(all, [a, b]);
}

/// The last slot can be had, the one after it is an error that says so, and a release makes room again.
#[test]
fn exhausted_pool_says_so() {
    let pool = leak(BATCH + 1, Guards::Marked);
    let slots: Vec<_> = (0..=BATCH).map(|_| acquire_from(pool).unwrap()).collect();
    let error = acquire_from(pool).unwrap_err();
    assert_eq!(error, StackError::Exhausted { slots: BATCH + 1, size: Class::DEFAULT.size() });
    assert!(error.to_string().contains("33 green thread stacks are in use"), "{error}");
    release(pool, slots[7]);
    assert_eq!(acquire_from(pool), Ok(slots[7]));
}

/// T2, T4, T5, from many threads, which trim what is idle too: a byte in each slot says whether it is owned.
#[test]
fn no_slot_is_given_twice() {
    const THREADS: usize = 8;
    let pool = leak(10_000, Guards::Marked);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..20_000_usize {
                    // Up and down, each thread at a pace of its own, so that the pool grows while others release.
                    if held.len() < 200 && (round * (thread + 3)) % 5 < 3 {
                        let slot = acquire_from(pool).unwrap();
                        assert_eq!(byte(slot.guard_end()).swap(1, Relaxed), 0, "given twice");
                        held.push(slot);
                    } else if let Some(slot) = held.pop() {
                        assert_eq!(byte(slot.guard_end()).swap(0, Relaxed), 1, "trimmed in its owner's hands");
                        release(pool, slot);
                    }
                    if round % 16 == 0 {
                        pool.trim(round as Tick * IDLE_NANOS, |index| pool.region().stack(index));
                    }
                }
                held.into_iter().for_each(|slot| {
                    byte(slot.guard_end()).store(0, Relaxed);
                    release(pool, slot);
                });
            });
        }
    });
    let mut known = HashSet::new();
    pool.for_each_slot(|slot| assert!(known.insert(slot.card())));
    let known: HashSet<_> = known
        .into_iter()
        .map(|card| pool.region().stack(pool.index_of(Slot::new(card, Class::DEFAULT))).base().addr())
        .collect();
    // All of them are free now: as many can be had without another first use, and each of them once.
    let again: HashSet<_> = known.iter().map(|_| acquire_from(pool).unwrap().base().addr()).collect();
    assert_eq!(again, known);
}

/// T1: stacks that went deep keep all of it while they are in use or were needed lately; those that were not lose what
/// lies deep, keep their top, and come back last.
#[test]
fn idle_slots_are_trimmed() {
    let pool = leak(400, Guards::Marked);
    let slots: Vec<_> = (0..200).map(|_| acquire_from(pool).unwrap()).collect();
    let whole = slots[0].end().addr() - slots[0].guard_end().addr();
    for slot in &slots {
        assert_eq!(touched(*slot), 0);
        byte(slot.end().wrapping_sub(KEPT)).store(7, Relaxed);
        byte(slot.guard_end()).store(7, Relaxed);
        assert_eq!(touched(*slot), whole);
    }
    let (taken, free) = slots.split_at(50);
    free.iter().for_each(|slot| release(pool, *slot));
    let trim_all = |time| while pool.trim(time, |index| pool.region().stack(index)) {};
    trim_all(IDLE_NANOS); // from now on they are idle, unless they are needed
    for _ in 0..2 {
        let needed: Vec<_> = (0..20).map(|_| acquire_from(pool).unwrap()).collect();
        needed.into_iter().for_each(|slot| release(pool, slot));
    }
    trim_all(2 * IDLE_NANOS - 1);
    assert!(slots.iter().all(|slot| touched(*slot) == whole), "before its time");
    trim_all(2 * IDLE_NANOS);
    let (cold, warm) = free.split_at(free.len() - 20);
    for slot in cold {
        assert_eq!(touched(*slot), KEPT.next_multiple_of(page_size()));
    }
    for slot in taken.iter().chain(warm) {
        assert_eq!(touched(*slot), whole);
        assert_eq!(byte(slot.guard_end()).load(Relaxed), 7);
    }
    let mut again: Vec<_> = free.iter().map(|_| acquire_from(pool).unwrap()).collect();
    again[..20].sort_by_key(|slot| slot.base());
    again[20..].sort_by_key(|slot| slot.base());
    assert_eq!((&again[..20], &again[20..]), (warm, cold));
    for slot in cold {
        assert_eq!(byte(slot.guard_end()).load(Relaxed), 0);
        assert_eq!(byte(slot.end().wrapping_sub(KEPT)).load(Relaxed), 7);
    }
}

/// T6: whoever needs a slot while the last free one is being trimmed gets that one, and no error. Fails if the trimming
/// thread does not hold `growth`.
#[test]
fn slot_that_is_being_trimmed_is_not_missed() {
    let pool = leak(BATCH, Guards::Marked);
    let slots: Vec<_> = (0..BATCH).map(|_| acquire_from(pool).unwrap()).collect();
    release(pool, slots[3]);
    let nothing_yet = |_| unreachable!("it has just become idle");
    assert!(!pool.trim_with(IDLE_NANOS, nothing_yet));
    std::thread::scope(|scope| {
        let mut waiting = None;
        pool.trim_with(IDLE_NANOS * 2, |index| {
            assert_eq!(pool.region().stack(index), slots[3]);
            waiting = Some(scope.spawn(|| acquire_from(pool)));
            std::thread::sleep(std::time::Duration::from_millis(20)); // for it to look now
        });
        assert_eq!(waiting.expect("trimmed").join().unwrap(), Ok(slots[3]));
    });
}

/// R2: marks are relied on where the kernel itself fails to read marked memory, and only there.
#[test]
#[cfg(not(greenlight_asan))] // the sanitizer looks at the arguments of system calls itself
fn marks_that_do_not_hold_are_not_relied_on() {
    let pool = leak(40, Guards::Marked);
    let slot = acquire_from(pool).unwrap();
    let guards = pool.region.get().unwrap().guards();
    let mut pipe = [0; 2];
    // SAFETY: two descriptors into a local; marks the end of the slot, which is ours and nobody's stack; then has the
    // kernel read a byte of it, if it can.
    let held = unsafe {
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        let marked = libc::madvise(slot.guard_end().cast(), page_size(), 102) == 0;
        marked && libc::write(pipe[1], slot.guard_end().cast(), 1) == -1
    };
    assert_eq!(guards, if held { Guards::Marked } else { Guards::Protected });
}

/// T5, R2: also of those that one system call marked, first byte and last, and no byte more.
#[test]
#[cfg(not(greenlight_asan))] // the sanitizer looks at the arguments of system calls itself
fn each_slot_of_each_batch_has_its_guard() {
    let slots = 3 * BATCH + 7;
    let pool = leak(slots, Guards::Marked);
    let mut pipe = [0; 2];
    // SAFETY: two descriptors into a local.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    // SAFETY: has the kernel read a byte, if it can.
    let is_readable = |address: *mut u8| unsafe { libc::write(pipe[1], address.cast(), 1) == 1 };
    for n in 0..slots {
        let slot = acquire_from(pool).unwrap();
        assert!(!is_readable(slot.base()) && !is_readable(slot.guard_end().wrapping_sub(1)), "slot {n} has none");
        assert!(is_readable(slot.guard_end()), "the guard of slot {n} is too large");
    }
}

/// The process's own pool, through the functions of the module.
#[test]
fn the_pool_of_the_process_works() {
    let slot = acquire(Class::DEFAULT).unwrap();
    let stack = TaskRef::stack_of(slot);
    assert_eq!(around(stack.top().addr() - 8), Some(stack));
    let mut seen = false;
    for_each_slot(|each| seen |= each == slot);
    assert!(seen);
    // SAFETY: ours, and nothing ran on it.
    unsafe { super::release(slot) };
}

/// A hundred thousand stacks, some of them used, cost the process no more than a handful of areas.
#[test]
#[cfg(not(any(greenlight_asan, greenlight_tsan)))] // the sanitizers have areas of their own
fn a_hundred_thousand_slots_take_a_handful_of_areas() {
    in_child_ok(test_name!("a_hundred_thousand_slots_take_a_handful_of_areas"), || {
        let pool = leak(1 << 17, Guards::Marked);
        let before = areas();
        for n in 0..100_000 {
            let slot = acquire_from(pool).unwrap();
            if pool.region.get().unwrap().guards() == Guards::Protected {
                return; // An older kernel: two areas each, as another test says.
            }
            if n % 64 == 0 {
                byte(slot.top().wrapping_sub(8)).store(1, Relaxed);
            }
        }
        let grown = areas() - before;
        assert!(grown <= 6, "{grown} more areas");
    });
}

/// R2: the other way of making guards costs two areas a stack; it is tried here on kernels that have the first.
#[test]
#[cfg(not(any(greenlight_asan, greenlight_tsan)))] // the sanitizers have areas of their own
fn protected_guards_take_two_areas_each() {
    in_child_ok(test_name!("protected_guards_take_two_areas_each"), || {
        let pool = leak(1 << 17, Guards::Protected);
        let before = areas();
        let slots: Vec<_> = (0..BATCH * 10).map(|_| acquire_from(pool).unwrap()).collect();
        let grown = areas() - before;
        assert!((slots.len() * 2..slots.len() * 2 + 6).contains(&grown), "{grown} more areas");
    });
}

/// A region whose memory is locked takes no marks (EINVAL, like an older kernel): the pool goes on with the other way.
#[test]
fn refused_marks_fall_back_to_protection() {
    in_child_ok(test_name!("refused_marks_fall_back_to_protection"), || {
        let pool = leak(64, Guards::Marked);
        let first = acquire_from(pool).unwrap();
        let region = pool.region.get().unwrap();
        if region.guards() == Guards::Protected {
            return; // An older kernel, which has made the point already.
        }
        let unready = region.stack(BATCH).base().cast();
        // SAFETY: a slot of ours that nobody uses yet; MLOCK_ONFAULT takes no memory.
        let locked = unsafe { libc::mlock2(unready, Class::DEFAULT.size(), libc::MLOCK_ONFAULT as _) };
        if locked != 0 {
            return; // Not allowed to lock memory here.
        }
        let rest: Vec<_> = (1..64).map(|_| acquire_from(pool).unwrap()).collect();
        assert_eq!(region.guards(), Guards::Protected);
        for slot in rest {
            byte(slot.guard_end()).store(1, Relaxed);
        }
        byte(first.guard_end()).store(1, Relaxed);
    });
}

/// When the limit on areas is met, `acquire` fails with an error that names it, and the slots so far go on working.
#[test]
#[cfg(not(greenlight_asan))] // the sanitizer takes faults, and address space, for itself
fn limit_on_areas_is_named() {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse::<u32>().unwrap();
    if limit > 200_000 {
        return; // Raised by somebody who wants that many.
    }
    in_child_ok(test_name!("limit_on_areas_is_named"), || {
        let pool = leak(1 << 17, Guards::Protected);
        let mut last = None;
        let error = loop {
            match acquire_from(pool) {
                Ok(slot) => last = Some(slot),
                Err(error) => break error,
            }
        };
        let slot = last.unwrap();
        byte(slot.guard_end()).store(1, Relaxed);
        assert!(matches!(error, StackError::Guard(libc::ENOMEM) | StackError::Commit(libc::ENOMEM)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("vm.max_map_count"), "{text}");
        assert!(pool.handed_out.load(Relaxed) > limit / 2 - 1000);
        release(pool, slot);
        assert_eq!(acquire_from(pool), Ok(slot));
    });
}

/// Under `ulimit -v` the reservation shrinks until it fits, and leaves the rest of the program as much again.
#[test]
#[cfg(not(any(greenlight_asan, greenlight_tsan)))] // the sanitizers take faults, and address space, for themselves
fn small_address_space_gets_a_small_region() {
    in_child_ok(test_name!("small_address_space_gets_a_small_region"), || {
        const GIB: u64 = 1 << 30;
        let limit = libc::rlimit { rlim_cur: 2 * GIB, rlim_max: 2 * GIB };
        // SAFETY: reads a local.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        let slot = acquire(Class::DEFAULT).unwrap();
        byte(slot.first_stack().guard_end()).store(1, Relaxed);
        byte(slot.card().as_ptr().wrapping_add(CARD_SIZE - 1)).store(1, Relaxed);
        let slots = POOLS[Class::DEFAULT.index()].region.get().unwrap().slots();
        assert!((1 << 10..=1 << 12).contains(&slots), "{slots}");
        assert!(Vec::<u8>::new().try_reserve_exact(512 << 20).is_ok(), "nothing left for the program");
    });
}

/// Any access to the guard ends the process: first byte, last byte, whichever way the guard was made.
#[test]
#[cfg(not(any(greenlight_asan, greenlight_tsan)))] // the sanitizers take faults, and address space, for themselves
fn guards_fault() {
    let cases = ["marked, first", "marked, last", "protected, first", "protected, last", "no guard"];
    let [faults @ .., no_fault] = in_children(test_name!("guards_fault"), cases, |case| {
        let pool = leak(100, if case.starts_with("marked") { Guards::Marked } else { Guards::Protected });
        let slots: Vec<_> = (0..40).map(|_| acquire_from(pool).unwrap()).collect();
        let slot = slots[37];
        byte(slot.guard_end()).store(1, Relaxed);
        match case.rsplit(' ').next() {
            Some("first") => byte(slot.base()).store(1, Relaxed),
            Some("last") => byte(slot.guard_end().wrapping_sub(1)).store(1, Relaxed),
            _ => byte(slot.base().wrapping_sub(1)).store(1, Relaxed),
        }
    });
    for (case, output) in cases.iter().zip(faults) {
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{case}: {:?}", output.status);
    }
    assert_eq!(no_fault.status.code(), Some(ENDED_WELL));
}

/// A class has what was asked for, below the guard and the page at the top; and there is no class for more than the largest has.
#[test]
fn classes_have_what_was_asked_for() {
    for bytes in [0, 1, 40_000, 48 * 1024, 200_000, 256 * 1024, 1 << 20, 5 << 20, 8 << 20, Class::most()] {
        let class = Class::with(bytes).unwrap();
        assert!(class.size() - guard_size() >= bytes + 4096, "{bytes}: {class:?}");
        let smaller = Class::ALL[..class.index()].iter().map(|class| class.size());
        assert!(smaller.clone().all(|size| size < bytes + guard_size() + 4096), "{bytes}: {class:?}");
    }
    assert_eq!(Class::with(Class::most() + 1), None);
    assert_eq!(Class::with(usize::MAX), None);
}

/// T3, and the way back from an address, for the slots of all classes.
#[test]
fn slots_of_all_classes_know_their_size() {
    // Where guards are large, the smallest slots would be nothing else, and no task gets one.
    let classes: Vec<_> = Class::ALL.into_iter().filter(|class| class.size() > guard_size()).collect();
    assert_eq!(classes.first().copied(), Class::with(0));
    let slots: Vec<_> = classes.iter().map(|&class| acquire(class).unwrap()).collect();
    for (class, slot) in classes.into_iter().zip(slots) {
        let stack = TaskRef::stack_of(slot);
        assert_eq!((stack.base().addr() % class.size(), stack.size()), (0, class.size()));
        for address in [stack.base(), stack.guard_end(), stack.end().wrapping_sub(1)] {
            assert_eq!(around(address.addr()), Some(stack));
        }
        let before = touched(stack); // it may be another test's, that was given back
        byte(stack.end().wrapping_sub(1)).store(1, Relaxed);
        assert_eq!(touched(stack), before.max(page_size()));
        byte(stack.guard_end()).store(1, Relaxed);
        assert_eq!(touched(stack), stack.end().addr() - stack.guard_end().addr());
        // SAFETY: acquired above, and nothing runs on it.
        unsafe { super::release(slot) };
    }
}
