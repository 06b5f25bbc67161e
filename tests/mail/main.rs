//! Mail: letters over bad networks, between nodes that crash.

mod durable;
mod letters;
