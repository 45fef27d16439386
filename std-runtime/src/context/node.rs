//! The tree of contexts, and how its branches end.
//!
//! ```text
//!            children: weak, each in its slot
//!     parent ───────────────────────────────▶ child
//!            ◀─────────────────────────────── parent: counted
//!
//!   open ── end set, children taken: one step under the lock ──▶ ended: waiters woken, then the children, one by one
//! ```
//!
//! * C1  `end` is set once. It is set, and children are put in, under the lock of `children` only; so a child is either in the
//!   list that the end takes, or sees the end when it comes.
//! * C2  A child holds its parent. It leaves its parent's list when it ends by itself or is dropped, whichever is first.
//! * C3  Nobody recurses: ends run over a queue, drops up a chain. A chain of any length costs no stack.
//! * C4  Foreign code (wakers, functions, causes, values) runs without a lock. If it panics, the others still hear.
//!
//! A branch that is being cut is cut from the top, so for a moment a parent has ended and its child has not. When `finish` returns
//! to the one who ended it, all of it has.

use super::{
    End,
    children::{Child, Children, Place},
};
use crate::time::{
    Instant,
    alarms::Key,
    driver::{self, Action},
};
use greenlight_core::Waitable;
use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// A context that can end.
pub(super) struct Node {
    end: OnceLock<End>,
    /// Who waits for the end. The condition is `end`; this is the line.
    pub(super) waiters: Waitable<()>,
    children: Mutex<Children>,
    parent: Option<Arc<Node>>,
    /// Where it is in its parent's list: set before anybody else can end it.
    place: OnceLock<Place>,
    alarm: OnceLock<Key>,
    /// Its own, or an ancestor's that comes before.
    pub(super) deadline: Instant,
}

impl Node {
    /// A child of `parent`, which ends with it, or at `deadline`, or when it is told to.
    pub(super) fn new(parent: Option<&Arc<Node>>, deadline: Instant, late: End) -> Arc<Node> {
        let inherited = parent.map_or(Instant::NEVER, |parent| parent.deadline);
        let node = Arc::new(Node {
            end: OnceLock::new(),
            waiters: Waitable::new(()),
            children: Mutex::default(),
            parent: parent.cloned(),
            place: OnceLock::new(),
            alarm: OnceLock::new(),
            deadline: deadline.min(inherited),
        });
        // Who inherits a deadline needs no alarm of his own.
        if let Some(tick) = deadline.deadline().filter(|_| deadline < inherited) {
            if Instant::now() >= deadline {
                node.finish(late);
                return node;
            }
            let weak = Arc::downgrade(&node);
            let at_the_deadline = move || {
                if let Some(node) = weak.upgrade() {
                    node.finish(late);
                }
            };
            let _ = node.alarm.set(driver::set(tick, Action::Call(Box::new(at_the_deadline))));
        }
        if let Some(parent) = parent {
            let listed = parent.put(|place| {
                let _ = node.place.set(place);
                Child::Context(Arc::downgrade(&node))
            });
            if let Err(end) = listed {
                node.finish(end);
            }
        }
        node
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        // Nothing panics with the lock held, but for want of memory.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its end, if it has come: one load.
    #[inline]
    pub(super) fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// Has a child hear of the end. `Err` if that has come (C1).
    pub(super) fn put(&self, child: impl FnOnce(Place) -> Child) -> Result<Place, End> {
        let mut children = self.children();
        match self.end() {
            Some(end) => Err(end.clone()),
            None => Ok(children.put(child)),
        }
    }

    /// The child at `place` will not hear of the end. None if it was told, or was taken out before.
    pub(super) fn take_out(&self, place: Place) -> Option<Child> {
        self.children().take_out(place)
    }

    /// Has the call at `place` keep its context until it is made.
    pub(super) fn keep(self: &Arc<Self>, place: Place) {
        if let Some(Child::Call(_, keeps)) = self.children().get_mut(place) {
            *keeps = Some(self.clone());
        }
    }

    /// C1: the one step. None if another came first.
    fn close(&self, end: &End) -> Option<Children> {
        let mut children = self.children();
        self.end.set(end.clone()).ok()?;
        Some(mem::take(&mut *children))
    }

    /// Ends it, and all below.
    ///
    /// # Panics
    ///
    /// With the first panic of a waker, after everybody has heard.
    pub(super) fn finish(self: &Arc<Self>, end: End) {
        let mut panic = None;
        let mut guard = |step: &mut dyn FnMut()| {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(step)) {
                match panic {
                    None => panic = Some(payload),
                    Some(_) => mem::forget(payload), // its drop may panic as well
                }
            }
        };
        let mut calls = Vec::new();
        let mut queue = VecDeque::from([self.clone()]);
        while let Some(node) = queue.pop_front() {
            let Some(children) = node.close(&end) else { continue };
            node.clear_alarm();
            guard(&mut || node.waiters.change(|_| ()));
            for child in children.into_children() {
                match child {
                    Child::Context(child) => queue.extend(child.upgrade()),
                    Child::Call(call, keeps) => calls.push((call, keeps)),
                }
            }
        }
        self.leave();
        for (call, _keeps) in calls {
            let mut call = Some(call);
            guard(&mut || call.take().into_iter().for_each(|call| call()));
        }
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn clear_alarm(&self) {
        if let Some(alarm) = self.alarm.get() {
            driver::take_out(*alarm);
        }
    }

    /// Leaves the parent's list, if it is still there.
    fn leave(&self) {
        if let (Some(parent), Some(place)) = (&self.parent, self.place.get()) {
            parent.take_out(*place);
        }
    }

    /// The first part of its drop, without what might recurse (C3).
    fn dismantle(&mut self) -> Option<Arc<Node>> {
        self.clear_alarm();
        self.leave();
        self.parent.take()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut parent = self.dismantle();
        while let Some(mut last) = parent.and_then(Arc::into_inner) {
            parent = last.dismantle();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Context;
    use std::time::Duration;

    fn children(ctx: &Context) -> usize {
        ctx.node.as_ref().unwrap().children().taken()
    }

    #[test]
    fn children_that_go_leave_nothing() {
        let (ctx, cancel) = Context::background().with_cancel();
        let (first, cancel_first) = ctx.with_cancel();
        let (second, _keep) = ctx.with_value(1).with_timeout(Duration::from_secs(3600));
        let call = ctx.after_func(|| unreachable!());
        assert_eq!(children(&ctx), 3);
        cancel_first.cancel();
        assert_eq!(children(&ctx), 2, "one that was cancelled");
        assert!(call.stop());
        assert_eq!(children(&ctx), 1, "a call that was stopped");
        drop((second, _keep));
        assert_eq!(children(&ctx), 0, "one that nobody has any more");
        drop((first, cancel_first));
        cancel.cancel();
        let _late = ctx.with_cancel();
        assert_eq!(children(&ctx), 0, "who comes after the end is not kept");
    }
}
