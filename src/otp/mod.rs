//! Behaviours: processes of a known shape. They stand on `process` alone and cannot tell simulation from
//! life.

mod caught;
mod gen_server;
mod start;

pub use gen_server::{Flow, GenServer, Server};
pub use start::{Plain, Refusal, StartError, Startable, process};
