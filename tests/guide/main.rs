//! The README and the guide, held to the code: their blocks of Rust stand in this test and are run by it,
//! and their transcripts are made again.
#![allow(
    unreachable_pub,
    reason = "what stands in the README is `pub`, as a reader would write it"
)]

mod architecture;
mod connections;
mod forgetful;
mod mail;
mod names;
mod pages;
mod properties;
mod readme;
mod scenario;
mod script;
mod scripts;
mod tape;
mod tasks;
mod transcripts;
mod tree;
