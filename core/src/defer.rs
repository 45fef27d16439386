//! Something to do when a scope ends, however it ends.

/// Runs a closure when dropped. Made by [`defer!`](crate::defer!).
#[must_use = "a deferred action that is not kept runs at once"]
pub struct Defer<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Defer<F> {
    /// Runs `action` when the returned value is dropped.
    pub fn new(action: F) -> Self {
        Self(Some(action))
    }
}

impl<F: FnOnce()> Drop for Defer<F> {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

impl<F: FnOnce()> core::fmt::Debug for Defer<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Defer")
    }
}

/// Runs statements when the enclosing scope ends: by its end, a `return`, a `?` or a panic. Go's `defer`.
///
/// Several run in the reverse order of their lines. What they use is borrowed until then.
///
/// # Examples
///
/// ```
/// use greenlight_core::{channel::unbounded, defer};
///
/// let (tx, rx) = unbounded();
/// {
///     defer!(tx.close());
///     tx.send(1).unwrap();
/// }
/// assert!(tx.send(2).is_err());
/// assert_eq!(rx.iter().sum::<i32>(), 1);
/// ```
#[macro_export]
macro_rules! defer {
    ($($action:tt)*) => {
        let _deferred = $crate::Defer::new(|| { $($action)*; });
    };
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use std::{cell::RefCell, panic::AssertUnwindSafe, vec::Vec};

    #[test]
    fn runs_in_reverse_order_also_through_a_panic() {
        let log = RefCell::new(Vec::new());
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| {
            defer!(log.borrow_mut().push(1));
            defer! {
                log.borrow_mut().push(2);
                log.borrow_mut().push(3)
            }
            panic!("the scope ends");
        }));
        assert!(panic.is_err());
        assert_eq!(*log.borrow(), [2, 3, 1]);
    }
}
