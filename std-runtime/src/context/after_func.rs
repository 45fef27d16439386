//! A call that waits for a context's end.

use super::{
    children::{Child, Place},
    node::Node,
};
use crate::{header::Spawn, runtime};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::*},
    },
};

/// The handle of [`Context::after_func`](super::Context::after_func). Dropped, it takes the call back.
#[must_use = "dropped, it takes the call back: `detach` it, or keep it"]
pub struct AfterFunc {
    place: Option<(Arc<Node>, Place)>,
    /// What `stop` answers once, where there is no place: true if the context never ends. Relaxed: one swap, nothing else.
    never: AtomicBool,
}

impl AfterFunc {
    #[track_caller]
    pub(super) fn new<T: Send + 'static>(node: Option<Arc<Node>>, f: impl FnOnce() -> T + Send + 'static) -> Self {
        let Some(node) = node else { return Self { place: None, never: AtomicBool::new(true) } };
        let (runtime, spawn) = (runtime::here(), Spawn::here());
        let mut call: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(move || drop(runtime.spawn(spawn, f))));
        let listed = node.put(|_| Child::Call(call.take().expect("put once at most"), None));
        let place = listed.ok().map(|place| (node, place));
        if let Some(call) = call {
            call();
        }
        Self { place, never: AtomicBool::new(false) }
    }

    /// Takes the call back. True if it will not be made, because of this call: false if it was made, or is just being
    /// made, or was taken back before. It does not wait for one that is being made.
    pub fn stop(&self) -> bool {
        match &self.place {
            // What the call had is dropped here, without the lock.
            Some((node, place)) => node.take_out(*place).is_some(),
            None => self.never.swap(false, Relaxed),
        }
    }

    /// Leaves the call for good. Until it is made the context is kept, handle or no handle: for ever if it never ends.
    pub fn detach(mut self) {
        if let Some((node, place)) = self.place.take() {
            node.keep(place);
        }
    }
}

impl Drop for AfterFunc {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}
