//! Behaviours: processes of a known shape. They stand on `process` alone and cannot tell simulation from
//! life.

mod gen_server;

pub use gen_server::{Flow, GenServer, Server};
