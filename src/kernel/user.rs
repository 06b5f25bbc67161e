//! The one function that runs code of users: polls, drops, encoding and decoding alike.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// A panic of user code: what it said, and where, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// The panic's message.
    pub message: String,
    /// Source place. Differs between builds: for people, never for a digest or a packet.
    pub place: Option<String>,
}

thread_local! {
    static IN_USER: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// From now on a panic of a process prints nothing; any other goes to the hook that was there before.
fn quiet_hook() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        let ours = IN_USER.try_with(|depth| depth.get() > 0).unwrap_or(false);
        if !ours {
            return before(info);
        }
        let place = info
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()));
        let _ = PLACE.try_with(|slot| slot.replace(place));
    }));
}

/// Installs the hook that keeps panics of processes quiet; once for all.
pub fn quiet_panics() {
    HOOK.call_once(quiet_hook);
}

/// Runs code of a user; a panic becomes a value.
///
/// # Errors
/// [`Panicked`] where the code panicked.
#[inline(always)]
pub fn run_user<R>(code: impl FnOnce() -> R) -> Result<R, Panicked> {
    let depth = IN_USER.get();
    IN_USER.set(depth.wrapping_add(1));
    let result = catch_unwind(AssertUnwindSafe(code));
    IN_USER.set(depth);
    result.map_err(|payload| panicked(&*payload))
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Panicked {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is no text".to_owned());
    Panicked {
        message,
        place: PLACE.with(|place| place.take()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_its_place() {
        quiet_panics();
        let panicked = run_user(|| panic!("no {}", "way")).unwrap_err();
        assert_eq!(panicked.message, "no way");
        assert!(
            panicked
                .place
                .is_some_and(|place| place.contains("user.rs:"))
        );
    }
}
