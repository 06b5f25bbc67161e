//! Properties: what must hold of a run.

use super::view::View;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a property says of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not, for this reason.
    Violated(String),
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Verdict {
        if holds {
            Verdict::Holds
        } else {
            Verdict::Violated(String::new())
        }
    }
}

impl<E: fmt::Display> From<Result<(), E>> for Verdict {
    fn from(result: Result<(), E>) -> Verdict {
        match result {
            Ok(()) => Verdict::Holds,
            Err(why) => Verdict::Violated(why.to_string()),
        }
    }
}

/// When a property is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// After each step.
    Always,
    /// After each step until it has held, which must be at most so long after the faults stop.
    Eventually(Duration),
    /// At the end of the run.
    Finally,
    /// After each step until it was reached, which some run must.
    Sometimes,
}

/// A property: a name, and a function of what can be seen.
#[derive(Clone)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) when: When,
    pub(crate) look: Arc<dyn Fn(&View) -> Verdict + Send + Sync>,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.when, self.name)
    }
}
