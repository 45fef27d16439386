//! Whether types are Send and Sync, as a table: for each kind of payload, what is promised as a function of what it is.

use std::{cell::Cell, marker::PhantomData, sync::MutexGuard};

/// A payload that is Send and Sync.
pub struct Both;
/// A payload that is Send and not Sync.
pub struct SendOnly(pub PhantomData<Cell<u8>>);
/// A payload that is Sync and not Send.
pub struct SyncOnly(pub PhantomData<MutexGuard<'static, ()>>);
/// A payload that is neither.
pub struct Neither(pub PhantomData<*const ()>);

/// Whether a type has an auto trait: the inherent constant is there only if it has, and then it comes first.
#[macro_export]
macro_rules! has {
    ($type:ty: $auto:ident) => {{
        #[allow(dead_code)] // one of the two is not used
        trait Fallback {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Fallback for T {}
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code)]
        impl<T: ?Sized + $auto> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

/// Asserts, for each type and each payload `T`, that it is Send and Sync as the function says.
#[macro_export]
macro_rules! promises {
    ($($type:ty: $expected:expr;)+) => {{
        use $crate::promises::{Both, Neither, SendOnly, SyncOnly};
        $($crate::promises!(@ $type, $expected, Both SendOnly SyncOnly Neither);)+
    }};
    (@ $type:ty, $expected:expr, $($payload:ident)+) => {
        $({
            type T = $payload;
            let payload = ($crate::has!(T: Send), $crate::has!(T: Sync));
            let expected: fn(bool, bool) -> (bool, bool) = $expected;
            let is = ($crate::has!($type: Send), $crate::has!($type: Sync));
            assert_eq!(is, expected(payload.0, payload.1), "{} with {}", stringify!($type), stringify!($payload));
        })+
    };
}
