//! notify: a service that wants to tell others when data changes, and grows until it is half an Erlang.
//! An HTTP POST between services is a call here, and the database is a node that faults spare.

pub(crate) mod heartbeats;
pub(crate) mod pod_mailbox;
pub(crate) mod pod_outbox;
pub(crate) mod waiting;
