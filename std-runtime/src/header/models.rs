//! Tasks for the models: headers without a stack, which nobody runs.

use super::*;
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
        shields: Cell::new(0),
        next: Cell::new(None),
        previous: Cell::new(None),
        stack_pointer: std::cell::Cell::new(std::ptr::null_mut()),
        worker: Cell::new(None),
        tag: AtomicU64::new(TaskId::next().0.get() << 1),
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
