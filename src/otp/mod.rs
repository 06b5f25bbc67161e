//! Behaviours: processes of a known shape. They stand on `process` alone and cannot tell simulation from
//! life.

mod caught;
mod gen_server;
mod start;
mod supervisor;

pub use gen_server::{Flow, GenServer, Server};
pub use start::{Plain, Refusal, StartError, Startable, process};
pub use supervisor::{
    AutoShutdown, BackOff, ChildCount, ChildError, ChildInfo, ChildSpec, DynamicSupervisor,
    DynamicSupervisorRef, Shutdown, SpecError, Supervisor, SupervisorRef, ToDynamic, ToSupervisor,
    child,
};
