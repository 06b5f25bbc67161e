//! Processes: mailboxes, signals, links, monitors, names, timers, and the seam to the world outside.
//!
//! A process is an async function over its [`Context`]. It sees the outside only through [`Host`], so it
//! cannot tell simulation from life. A host drives its nodes' processes through a [`Runtime`].

mod address;
mod alias;
mod blow;
mod bound;
mod context;
mod distribution;
mod ending;
mod exit;
mod few;
mod files;
mod host;
mod letters;
mod local;
mod machine;
mod mailbox;
mod mailing;
mod message;
mod monitor;
mod node;
#[cfg(feature = "sim")]
mod observe;
mod receive;
mod reply;
mod runtime;
mod signal;
mod spares;
mod spawn;
mod step;
mod supervising;
mod sys;
mod system;
mod target;
mod timer;
mod waiting;

pub use address::Address;
pub use blow::{Blow, Moment, Passing};
pub use bound::{MailboxBound, Overflow, TrySendError};
pub use context::{Context, Never};
pub use exit::{CallError, ExitReason, IntoExit};
pub use files::{
    BlockingFile, File, FileAnswer, FileAsker, FileDone, FileError, FileId, FileOp, Files, Takes,
};
pub use host::{Carries, Core, Host, Packet, PacketError, Via};
pub use letters::DeadLetter;
pub use mailbox::{Info, MonitorRef, Received};
pub use message::{Labeled, Message, Tag};
pub use reply::ReplyTo;
pub use runtime::Runtime;
pub use signal::NameError;
pub use step::StepError;
pub use sys::{Statistics, Status};
pub use target::Target;
pub use timer::TimerRef;
pub use waiting::{Called, Wait, Waiting};

pub(crate) use ending::{EndKey, Ending, abandon, is_awaited, tie};
pub(crate) use local::{exposed, first_of, lives, may_act, name_text, nobody, own_context};
pub(crate) use mailbox::Content;
pub(crate) use message::{decode, encode, encode_after};
pub(crate) use reply::{Call, started_by};
pub(crate) use sys::{Behaviour, Look, Request, Vitals, own_vitals};
pub(crate) use system::with;
pub(crate) use timer::Alarm;
// What the simulator uses beyond what any host can: it looks into the state of the run that it makes.
#[cfg(feature = "sim")]
pub(crate) use {
    node::NodeState,
    observe::Found,
    runtime::{News, ask_to_stop, boot, tell},
    step::{Stepped, bury, step},
    sys::{Shown, Supervised},
    system::{Current, System, try_with},
};
