//! Where a task was spawned, and its name if it has one, in one word: few have a name.

use std::{marker::PhantomData, panic::Location, ptr};

type Site = &'static Location<'static>;

/// The address of the site; or, odd, that of a [`Named`].
pub(super) struct Origin {
    word: *const u8,
    _named: PhantomData<Box<Named>>,
}

struct Named {
    name: Box<str>,
    site: Site,
}

const NAMED: usize = 1;

// Both have an even address.
const _: () = assert!(align_of::<Named>() > NAMED && align_of::<Location<'static>>() > NAMED);

// SAFETY: nothing of it changes before its end.
unsafe impl Send for Origin {}
// SAFETY: as above.
unsafe impl Sync for Origin {}

impl Origin {
    pub(super) fn new(site: Site, name: Option<Box<str>>) -> Self {
        let word = match name {
            None => ptr::from_ref(site).cast::<u8>(),
            Some(name) => Box::into_raw(Box::new(Named { name, site })).cast_const().cast::<u8>().wrapping_add(NAMED),
        };
        Self { word, _named: PhantomData }
    }

    fn named(&self) -> Option<&Named> {
        let is_named = self.word.addr() & NAMED != 0;
        // SAFETY: the box of `new`, which lives as long as this.
        is_named.then(|| unsafe { &*self.word.wrapping_sub(NAMED).cast::<Named>() })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.named().map(|named| &*named.name)
    }

    pub(super) fn site(&self) -> Site {
        // SAFETY: not odd, so the site's own address.
        self.named().map_or_else(|| unsafe { &*self.word.cast() }, |named| named.site)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if self.named().is_some() {
            // SAFETY: the box of `new`, freed once.
            drop(unsafe { Box::from_raw(self.word.wrapping_sub(NAMED).cast::<Named>().cast_mut()) });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_site_come_back() {
        let site = Location::caller();
        let (plain, named) = (Origin::new(site, None), Origin::new(site, Some("ann".into())));
        assert_eq!((plain.name(), plain.site()), (None, site));
        assert_eq!((named.name(), named.site()), (Some("ann"), site));
    }
}
