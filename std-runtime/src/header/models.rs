//! Tasks for the models: headers without a stack, which nobody runs.

use super::*;
use crate::runtime::models as runtimes;
use loom::thread;
use std::mem::MaybeUninit;

/// A task that is ready, has run on no worker yet, and is held by more than the model lets go. Freed by [`free`].
pub(crate) fn task() -> TaskRef {
    let task = Task {
        state: AtomicU8::new(READY),
        holders: AtomicU8::new(8),
        fate: AtomicU8::new(0),
        is_carrier: Cell::new(false),
        roams: Cell::new(false),
        class: Cell::new(Class::DEFAULT),
        extra: Cell::new(true),
        shields: Cell::new(0),
        next: Cell::new(None),
        previous: Cell::new(None),
        stack_pointer: std::cell::Cell::new(std::ptr::null_mut()),
        worker: Cell::new(None),
        tag: AtomicU64::new(TaskId::next().0.get() << 1),
        stack: AtomicPtr::new(std::ptr::null_mut()),
        polling: Cell::new(None),
        polled: AtomicU64::new(0),
        job: Cell::new(std::ptr::null_mut()),
        run: Cell::new(None),
        why: Cell::new(None),
        joiner: UnsafeCell::new(MaybeUninit::uninit()),
        free_job: Cell::new(None),
        home: AtomicPtr::new(std::ptr::null_mut()),
        spawn_site: AtomicPtr::new(std::ptr::null_mut()),
        name: Cell::new(None),
        locals: Cell::new(None),
        scope: Cell::new(None),
        siblings: Cell::new([None; 2]),
    };
    TaskRef(NonNull::from(Box::leak(Box::new(task))))
}

/// The same, that polls futures.
pub(crate) fn carrier() -> TaskRef {
    let task = task();
    task.get().is_carrier.set(true);
    task
}

/// # Safety
///
/// No other thread of the model looks at it any more.
pub(crate) unsafe fn free(task: TaskRef) {
    // SAFETY: the box of `task`.
    drop(unsafe { Box::from_raw(task.0.as_ptr()) });
}

/// For closures of the model's threads.
// SAFETY: a task is shared by its own rules, which is what the models check.
unsafe impl Send for TaskRef {}

/// Two let a task go that both have written to: the last one sees it all. Fails if `leave` is less than AcqRel, either way.
#[test]
fn task_last_holder_comes_after_all_others() {
    loom::model(|| {
        let this = task();
        this.get().holders.store(2, Relaxed);
        let other = thread::spawn(move || {
            this.get().name.get();
            this.get().leave().then(|| this.get().name.set(None)).is_some()
        });
        this.get().name.get();
        let last = this.get().leave().then(|| this.get().name.set(None)).is_some();
        assert!(other.join().unwrap() ^ last);
        // SAFETY: the other thread has ended.
        unsafe { free(this) };
    });
}

/// A task ends, and another gets its slot, if nobody else holds that: what the slot's owner does, and its pool.
fn make_room(this: TaskRef, next: impl FnOnce()) {
    if this.get().leave() {
        this.clear();
        next();
    }
}

/// A name for `clear` to free.
fn name(name: &str) -> Option<NonNull<str>> {
    Some(NonNull::from(Box::leak(Box::<str>::from(name))))
}

/// Who looks from outside at a task that ends, while another one gets its slot, is told the name of one of them, which stays in place
/// meanwhile. Fails if `hold` is Relaxed, or takes a slot that nobody holds, and if `begin` sets the holders Relaxed.
#[test]
fn task_is_held_by_who_looks() {
    loom::model(|| {
        let shared = runtimes::shared(1);
        let this = task();
        let (site, task) = (Location::caller(), this.get());
        task.become_another(shared, site);
        task.name.set(name("first"));
        task.holders.store(1, Release); // its handle has gone
        let looks = thread::spawn(move || {
            let hold = this.hold()?;
            let (id, told) = (hold.id()?, hold.describe().expect("it has a home, and a site"));
            assert!(told.contains(&format!("green thread {id} ")));
            std::mem::forget(hold); // its drop would give the slot to the pool, of which there is none
            make_room(this, || {});
            Some(told)
        });
        make_room(this, || {
            task.become_another(shared, site);
            task.name.set(name("second"));
            task.begin();
        });
        if let Some(told) = looks.join().unwrap() {
            assert!(told.contains("\"first\"") ^ told.contains("\"second\""), "{told}");
        }
        // Whoever has not ended yet.
        if task.holders.load(Relaxed) > 0 {
            this.clear();
        }
        // SAFETY: the other thread has ended.
        unsafe {
            free(this);
            runtimes::free(shared);
        }
    });
}

/// A survey that meets the end of a task, and the begin of another one in its slot, tells of one of them, not of the id of the one and
/// the site of the other. Fails if one of the stores of `become_another` is Relaxed, or one of the loads of them; and if the last store
/// of `begin` is, or the load of `is_alive`.
#[test]
fn task_survey_tells_of_one_task() {
    loom::model(|| {
        let (shared, other) = (runtimes::shared(1), runtimes::shared(1));
        let this = task();
        let task = this.get();
        let sites = [Location::caller(), Location::caller()];
        task.become_another(shared, sites[0]);
        let first = task.id();
        task.holders.store(1, Release);
        let surveys = thread::spawn(move || [shared, other].map(|home| this.survey(home)));
        make_room(this, || {
            task.become_another(other, sites[1]);
            task.begin();
        });
        let [here, there] = surveys.join().unwrap();
        if let Some((id, site)) = here {
            assert!(Some(id) == first && std::ptr::eq(site, sites[0]));
        }
        if let Some((id, site)) = there {
            assert!(Some(id) == task.id() && std::ptr::eq(site, sites[1]));
        }
        // SAFETY: the other thread has ended.
        unsafe {
            free(this);
            runtimes::free(shared);
            runtimes::free(other);
        }
    });
}
