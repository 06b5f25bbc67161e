//! One door for chance: every nondeterministic value of a run is drawn here, and each draw has an address.
//!
//! A [`Site`] names a draw by its cause: what sort of thing is decided, who asks, and the how-manieth of
//! that it is. The answer is an *outcome* (a latency above the least, a rank, "lost": 1), never raw bits,
//! and for the adversary's draws the outcome 0 is calm. So a list of (site, outcome) pairs, a [`Tape`],
//! can override single draws of a run and shift no other.
//!
//! This floor knows nothing of processes or time: it sees sites and shapes of answers.

mod chooser;
mod distribution;
mod oracle;
mod site;
mod source;
mod tape;

pub use chooser::{Candidate, Chooser, Class, NOWHERE};
pub use distribution::{Distribution, DistributionError, Rate, RateError};
pub use oracle::{Choice, Oracle, PutOff, Question, Recorded, Shape};
pub use site::{Kind, Lineage, Lineages, Site, Sort, valid_name, valid_path};
pub use source::{Stream, keyed};
pub use tape::{Base, Drift, DriftKind, Edit, Tape, TapeError, TapeOracle};
