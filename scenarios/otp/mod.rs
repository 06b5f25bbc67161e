//! otp: what supervisors promise, and what they do not.

pub(crate) mod restart_storm;
