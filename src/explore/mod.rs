//! Many runs: strategies, sweeps over seeds, the check of determinism, shrinking. It does not know how
//! results are shown.

mod detection;
mod shrink;
mod strategy;
mod sweep;
mod twice;

pub use detection::{Detection, DetectionError, Trials, detect};
pub use shrink::{SHRINK_TRIES, ShrinkError, Shrunk, shrink};
pub use strategy::{Strategy, UnknownStrategy};
pub use sweep::{Found, Options, Progress, Report, Sometimes, Trouble, sweep};
pub use twice::{Difference, Divergence, Facts, Side, confirm};
