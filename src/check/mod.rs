//! Checkers: they take what happened, as plain data, and say what of it is wrong. They never see the system.

mod delivery;
mod supervision;

pub use delivery::{Delivery, Misdelivery, Mishap, Moment, delivery};
pub use supervision::{Breach, Complaint, Supervisors, supervision};
