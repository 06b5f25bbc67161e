//! otp: what supervisors promise, and what they do not.

pub(crate) mod chat_room;
pub(crate) mod restart_storm;
