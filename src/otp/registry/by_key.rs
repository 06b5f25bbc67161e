//! Addresses by key.

use super::RegistryRef;
use crate::process::{Address, CallError, Message, ReplyTo, Target, nobody};
use crate::trace::Pid;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The address of whoever is registered under a key, looked up each time that it is used: it stays good
/// across restarts. Elixir's `:via`.
///
/// It turns into a [`Target`] as well, so it may stand where a pid may, in `monitor` and `send_exit`: that is
/// looked up there and then. Where several are under the key, it is the one that is registered the longest.
pub struct ByKey<K, V, M> {
    registry: RegistryRef<K, V>,
    key: K,
    message: PhantomData<fn(M)>,
}

impl<K: Clone, V, M> Clone for ByKey<K, V, M> {
    fn clone(&self) -> Self {
        ByKey {
            registry: self.registry,
            key: self.key.clone(),
            message: PhantomData,
        }
    }
}

impl<K: fmt::Debug, V, M> fmt::Debug for ByKey<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByKey({:?} of {:?})", self.key, self.registry)
    }
}

impl<K: Message + Ord + Clone, V: Message + Clone, M: Message> ByKey<K, V, M> {
    pub(super) fn new(registry: RegistryRef<K, V>, key: K) -> ByKey<K, V, M> {
        ByKey {
            registry,
            key,
            message: PhantomData,
        }
    }

    /// Who is under the key now.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.registry.whereis(&self.key)
    }

    /// Sends a message to whoever is under the key now. Where nobody is, it is a dead letter.
    ///
    /// # Panics
    /// Outside a process.
    pub fn send(&self, message: M) {
        Address::of(self.pid().unwrap_or_else(nobody)).send(message);
    }

    /// Asks whoever is under the key now, and waits for the answer, at most for `timeout`.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NoProc`] where nobody is under the key.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn call<R: Message>(
        &self,
        ask: impl FnOnce(ReplyTo<R>) -> M,
        timeout: Duration,
    ) -> Result<R, CallError> {
        let pid = self.pid().ok_or(CallError::NoProc)?;
        Address::of(pid).call(ask, timeout).await
    }
}

impl<K: Message + Ord + Clone, V: Message + Clone, M: Message> From<&ByKey<K, V, M>> for Target {
    fn from(address: &ByKey<K, V, M>) -> Target {
        Target::Pid(address.pid().unwrap_or_else(nobody))
    }
}
