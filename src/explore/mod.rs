//! Many runs: sweeps over seeds, the check of determinism, shrinking. It does not know how results are
//! shown.

mod shrink;
mod sweep;
mod twice;

pub use shrink::{SHRINK_TRIES, ShrinkError, Shrunk, shrink};
pub use sweep::{Found, Options, Progress, Report, Sometimes, Trouble, sweep};
pub use twice::{Difference, Divergence, Facts, Side, confirm};
