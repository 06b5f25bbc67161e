//! The edge: the environment (read nowhere else), arguments, progress, exit codes.
//!
//! [`check`] runs a scenario from a `#[test]`. With the feature `cli`, [`main`] makes a command line of a
//! list of scenarios.

mod again;
mod env;
mod parse;

#[cfg(feature = "cli")]
mod arguments;
#[cfg(feature = "cli")]
mod code;
#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
mod gallery;
#[cfg(feature = "cli")]
mod observe;
#[cfg(feature = "cli")]
mod output;
#[cfg(feature = "cli")]
mod progress;
#[cfg(feature = "cli")]
mod replay;
#[cfg(feature = "cli")]
mod run;
#[cfg(feature = "cli")]
mod select;
#[cfg(feature = "cli")]
mod shrink;
#[cfg(feature = "cli")]
mod strategies;

#[cfg(feature = "cli")]
pub use commands::{main, main_with};
pub use env::check;
