//! Each green thread has its own value, from its first use until it has ended.

use greenlight::{Runtime, channel::never, go, run, scope, task, task_local, yield_now};
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
};

task_local! {
    static COUNT: Cell<u32> = Cell::new(0);
    static SHARED: Rc<RefCell<Vec<u32>>> = Rc::default();
    /// With a comment, and seen elsewhere.
    pub static NAME: &'static str = "nobody";
}

#[test]
fn each_task_and_each_thread_has_its_own() {
    greenlight_tests::on_workers(|| {
        let tasks: Vec<_> = (0..50)
            .map(|i| {
                go(move || {
                    for turn in 0..10 {
                        assert_eq!(COUNT.with(|count| count.replace(turn + 1)), turn);
                        SHARED.with(|shared| shared.borrow_mut().push(i));
                        yield_now();
                    }
                    SHARED.with(|shared| assert_eq!(*shared.borrow(), vec![i; 10]));
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(COUNT.with(Cell::get), 0);
    });
    COUNT.with(|count| count.set(77));
    thread::scope(|s| _ = s.spawn(|| assert_eq!(COUNT.with(Cell::get), 0)));
    assert_eq!(COUNT.with(Cell::get), 77);
}

#[test]
fn a_borrow_lasts_across_a_wait() {
    run(|| {
        SHARED.with(|shared| {
            let mut mine = shared.borrow_mut();
            go(|| SHARED.with(|shared| shared.borrow_mut().push(1))).join().unwrap();
            yield_now();
            mine.push(2);
            // Another local, made meanwhile.
            COUNT.with(|count| count.set(1));
            assert_eq!(*mine, [2]);
        });
    });
}

#[test]
fn a_scope_gives_another_value_for_a_while() {
    run(|| {
        let inner = NAME.scope("outer", || {
            assert_eq!(NAME.get(), "outer");
            let panic = catch_unwind(|| NAME.scope("inner", || panic!("{}", NAME.get())));
            assert!(panic.is_err());
            scope(|s| assert_eq!(s.spawn(|| NAME.get()).join().unwrap(), "nobody"));
            NAME.get()
        });
        assert_eq!((inner, NAME.get()), ("outer", "nobody"));
    });
    NAME.scope("a thread's", || assert_eq!(NAME.get(), "a thread's"));
}

static LOG: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static WHERE: AtomicUsize = AtomicUsize::new(0);

struct Logged(&'static str);

impl Drop for Logged {
    fn drop(&mut self) {
        // A destructor may use locals, its own too, and wait.
        COUNT.with(|count| count.set(count.get() + 1));
        yield_now();
        LOG.lock().unwrap().push(self.0);
        WHERE.with_address();
        if self.0 == "panics" {
            panic!("a destructor of a local");
        }
    }
}

trait WithAddress {
    fn with_address(&self);
}

thread_local!(static HERE: u8 = const { 0 });

impl WithAddress for AtomicUsize {
    fn with_address(&self) {
        self.store(HERE.with(|here| std::ptr::from_ref(here).addr()), SeqCst);
    }
}

task_local! {
    static FIRST: Logged = Logged("first");
    static PANICS: Logged = Logged("panics");
    static LAST: Logged = Logged("last");
}

#[test]
fn destructors_run_at_the_end_before_the_join_and_on_the_worker() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    for how in 0..3 {
        LOG.lock().unwrap().clear();
        let task = runtime.go(move || {
            [&FIRST, &PANICS, &LAST].into_iter().for_each(|local| local.with(|_| ()));
            let here = HERE.with(|here| std::ptr::from_ref(here).addr());
            match how {
                0 => {}
                1 => panic!("{here}"),
                _ => drop(never::<()>().recv()),
            }
            here
        });
        if how == 2 {
            runtime.run(|| (0..3).for_each(|_| yield_now()));
            thread::sleep(std::time::Duration::from_millis(5));
            task.cancel();
        }
        let here = match task.join() {
            Ok(here) => Some(here),
            Err(error) => error.message().map(|text| text.parse().unwrap()),
        };
        assert_eq!(*LOG.lock().unwrap(), ["last", "panics", "first"], "{how}");
        assert!(here.is_none_or(|here| here == WHERE.load(SeqCst)), "{how}");
    }
}

#[test]
fn an_initialiser_that_panics_leaves_nothing() {
    task_local! {
        static FAILS: u32 = panic!("in an initialiser");
    }
    run(|| {
        for _ in 0..2 {
            assert!(catch_unwind(AssertUnwindSafe(|| FAILS.with(|value| *value))).is_err());
        }
    });
}

/// The result that nobody wants is dropped by the task, after its values: what that makes anew is nobody else's.
#[test]
fn what_the_drop_of_a_result_makes_is_not_the_next_tasks() {
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            COUNT.with(|count| count.set(count.get() + 1000));
        }
    }
    Runtime::builder().workers(1).build().unwrap().run(|| {
        for _ in 0..100 {
            drop(go(|| Counts));
            yield_now();
            let next = task::Builder::new().name("next").spawn(|| COUNT.with(|count| count.replace(1)));
            assert_eq!(next.join().unwrap(), 0);
            assert_eq!(go(|| COUNT.with(|count| count.replace(1))).join().unwrap(), 0);
        }
    });
}
