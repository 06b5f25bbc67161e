//! Checkers: they take what happened, as plain data, and say what of it is wrong. They never see the system.

mod supervision;

pub use supervision::{Breach, Complaint, Supervisors, supervision};
