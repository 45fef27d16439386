//! The values that a context carries: a list that its children share, found by their type.

use std::{any::Any, sync::Arc};

pub(super) struct Values {
    value: Box<dyn Any + Send + Sync>,
    older: Option<Arc<Values>>,
}

impl Values {
    pub(super) fn new<T: Any + Send + Sync>(value: T, older: Option<Arc<Values>>) -> Arc<Self> {
        Arc::new(Self { value: Box::new(value), older })
    }

    /// The latest of this type.
    pub(super) fn find<T: Any>(mut list: Option<&Arc<Values>>) -> Option<&T> {
        while let Some(values) = list {
            if let Some(value) = values.value.downcast_ref() {
                return Some(value);
            }
            list = values.older.as_ref();
        }
        None
    }
}

impl Drop for Values {
    /// A list of any length, without recursion.
    fn drop(&mut self) {
        let mut older = self.older.take();
        while let Some(mut last) = older.and_then(Arc::into_inner) {
            older = last.older.take();
        }
    }
}
