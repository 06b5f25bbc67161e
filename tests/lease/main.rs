//! Leases: each rule by itself, and all of them while those who grant and hold crash, pause and are cut off.
#![cfg(all(feature = "sim", feature = "redb"))]

mod bad_input;
mod clocks;
mod common;
mod crashes;
mod ends;
mod holding;
