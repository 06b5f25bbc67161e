//! Processes: mailboxes, signals, links, monitors, names, timers, and the seam to the world outside.
//!
//! A process is an async function over its [`Context`]. It sees the outside only through [`Host`], so it
//! cannot tell simulation from life.

mod address;
mod bound;
mod context;
mod distribution;
mod exit;
mod few;
mod host;
mod letters;
mod mailbox;
mod message;
mod node;
mod reply;
mod signal;
mod spawn;
mod step;
mod system;
mod timer;
mod waiting;

pub use address::{Address, Target};
pub use bound::{MailboxBound, Overflow, TrySendError};
pub use context::{Context, Never};
pub use exit::{CallError, ExitReason, IntoExit};
pub use host::{Carries, Core, Host, Packet, Via};
pub use letters::DeadLetter;
pub use mailbox::{Info, MonitorRef, Received};
pub use message::{Labeled, Message, Tag};
pub use reply::ReplyTo;
pub use signal::NameError;
pub use timer::TimerRef;
pub use waiting::{Called, Wait, Waiting};

pub(crate) use reply::started_by;
pub(crate) use spawn::spawn_root;
pub(crate) use step::{StepError, Stepped, bury, step};
pub(crate) use system::{Current, Remains, System, install, try_with, with};
