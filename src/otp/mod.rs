//! Behaviours: processes of a known shape. They stand on `process` alone and cannot tell simulation from
//! life.

mod caught;
mod desk;
mod gen_server;
mod gen_statem;
mod multi_call;
mod registry;
mod start;
mod stop;
mod supervisor;
pub mod sys;
mod task;

#[cfg(feature = "sim")]
pub(crate) use desk::Desk;
pub use gen_server::{Flow, GenServer, Server};
#[cfg(feature = "sim")]
pub(crate) use gen_statem::Machine;
pub use gen_statem::{Entered, Event, GenStatem, Initial, StateMachine, Transition};
pub use multi_call::{Answers, abcast, multi_call};
pub use registry::{ByKey, Registry, RegistryError, RegistryEvent, RegistryRef};
pub use start::{Plain, Refusal, StartError, Startable, Starting, process};
pub use stop::stop;
pub use supervisor::{
    AutoShutdown, BackOff, ChildCount, ChildError, ChildInfo, ChildSpec, DynamicSupervisor,
    DynamicSupervisorRef, Shutdown, SpecError, Supervisor, SupervisorRef, ToDynamic, ToSupervisor,
    child,
};
pub use task::{
    OnTimeout, Task, TaskError, TaskJob, TaskStream, TaskSupervisor, TaskSupervisorRef,
};
