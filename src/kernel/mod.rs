//! The kernel: virtual clock, agenda, slab of tasks, wakers, executor, groups.
//!
//! It steps futures in the order that `choice` draws and moves time when none can step. It does not
//! know what messages, nodes or a network are: a task carries data of a type that the floor above
//! chooses, and a group is a number.

mod agenda;
mod bounds;
mod executor;
mod ready;
mod slab;
pub mod time;
mod user;
mod waker;
mod watchdog;

pub use agenda::{Agenda, Entry, Key};
pub use bounds::{Bounds, Reached};
pub use executor::{Body, Drawn, Due, GroupId, Kernel, Live, Next, Task, TaskData, What};
pub use slab::Slab;
pub use time::{Time, nanos};
pub use user::{Panicked, quiet_panics, run_user};
pub use waker::{Epoch, enter, is_own, own_waker, slot_of, waker_word};
pub use watchdog::Beat;
