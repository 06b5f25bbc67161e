//! Faults, as those see them whom they befall: who gets what when, who is told of what, what clocks show.
//!
//! Each fault is tried by hand in a plan, in a script, and drawn. What it does is read off a board on
//! which the members of a small cluster note what they see; the trace is asked only where it is itself
//! what was promised.

mod bad_input;
mod chaos;
mod clocks;
mod copies;
mod cuts;
mod disks;
mod drawn;
mod mail;
mod nodes;
mod packets;
mod processes;
mod removal;
mod texts;
mod world;
