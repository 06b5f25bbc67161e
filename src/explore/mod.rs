//! Many runs: sweeps over seeds, the check of determinism, shrinking. It does not know how results are
//! shown.

mod shrink;

pub use shrink::{SHRINK_TRIES, ShrinkError, Shrunk, shrink};
