//! How results are shown: text and JSON. It does not know how runs are made.

mod divergence;
mod failure;
pub mod gallery;
#[cfg(feature = "cli")]
pub mod json;
mod numbers;
mod sweep;
pub mod trace;

pub use failure::{Failure, LAST_EVENTS};
pub use numbers::{grouped, per_second};
pub use sweep::{coverage, unreached};
