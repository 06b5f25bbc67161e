//! How results are shown: text and JSON. It does not know how runs are made.

pub mod trace;
