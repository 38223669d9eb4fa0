//! Panics of user code.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
};

/// Calls user code, and returns `None` if it panics. The panic hook has reported the panic.
///
/// Unwind safe if the caller drops what the code has used.
pub(crate) fn catch<T>(act: impl FnOnce() -> T) -> Option<T> {
    match panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // Its drop is user code as well, which may panic with yet another payload.
            let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
            if let Err(payload) = dropped {
                mem::forget(payload);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics with another of its kind when it is dropped, so many times.
    struct Bomb(u32);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if let Some(left) = self.0.checked_sub(1) {
                panic::resume_unwind(Box::new(Bomb(left)));
            }
        }
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_does_not_escape() {
        for depth in [0, 1, 2, 100] {
            let caught = catch(|| panic::resume_unwind(Box::new(Bomb(depth))));
            assert!(caught.is_none(), "{depth}");
        }
        assert_eq!(catch(|| 7), Some(7));
    }
}
