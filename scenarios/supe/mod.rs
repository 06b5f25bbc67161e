//! supe: a parent that starts child processes, restarts them when they crash, and routes their mail.
//! It keeps a copy of each letter until the receiver acknowledges it, and hands it over again when the
//! receiver comes back.

pub(crate) mod acked_by_id;
pub(crate) mod duplicate_ack;
pub(crate) mod excessive_crash;
pub(crate) mod killed_is_shutdown;
pub(crate) mod poison_letter;
pub(crate) mod sendgrid_dam;
pub(crate) mod sound;
pub(crate) mod supervisor_dies;
