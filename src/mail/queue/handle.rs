//! The sides of those who publish and consume: handles with a type.

use super::fate::{
    ConsumeError, Death, DeclareError, PublishError, QueueCounts, QueueInfo, Settle, SettleError,
};
use super::settings::QueueSettings;
use super::wire::{Carried, Publication, ToBroker, body_of, message_of};
use crate::process::{Address, CallError, Message, ReplyTo, may_act, own_context};
use crate::trace::{LetterId, Mailed, PacketKind, Pid};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// How long a broker is waited for, where nothing else is said: that of OTP's calls.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A queue of letters of type `M` at a broker: for those who publish, and those who consume.
///
/// It is no more than an address with a name: any number may be made, on any node.
pub struct Queue<M> {
    broker: Address<ToBroker>,
    name: String,
    timeout: Duration,
    letters: PhantomData<fn(M) -> M>,
}

impl<M> Clone for Queue<M> {
    fn clone(&self) -> Queue<M> {
        Queue {
            name: self.name.clone(),
            ..*self
        }
    }
}

impl<M> fmt::Debug for Queue<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} at {:?})", self.name, self.broker)
    }
}

/// On which terms a letter is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    priority: u8,
    deadline: Option<Duration>,
}

impl Terms {
    /// Priority 0, no deadline but that of the queue.
    #[must_use]
    pub fn new() -> Terms {
        Terms::default()
    }

    /// Its priority: letters of a greater one are delivered first. One greater than the queue knows counts as
    /// the queue's greatest. Default: 0.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Terms {
        self.priority = priority;
        self
    }

    /// Until when it may wait, since 1970, by the wall clock of the broker's node; the queue's time to live
    /// may end earlier. Default: none.
    #[must_use]
    pub fn deadline(mut self, at: Duration) -> Terms {
        self.deadline = Some(at);
        self
    }
}

impl<M: Message> Queue<M> {
    /// The queue of this name at a broker. By the name of a broker it stays good when that restarts:
    /// `Queue::new(Address::named("node", "broker"), "orders")`.
    #[must_use]
    pub fn new(broker: Address<ToBroker>, name: &str) -> Queue<M> {
        Queue {
            broker,
            name: name.to_owned(),
            timeout: TIMEOUT,
            letters: PhantomData,
        }
    }

    /// How long the broker is waited for. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Queue<M> {
        self.timeout = timeout;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Declares it, durably. To declare it again with the same settings changes nothing.
    ///
    /// # Errors
    /// [`DeclareError`]: it is there with other settings, they make no sense, or there is no broker.
    pub async fn declare(&self, settings: QueueSettings) -> Result<(), DeclareError> {
        let ask = |reply_to| ToBroker::Declare(self.name.clone(), settings, reply_to);
        let answer = self.broker.call(ask, self.timeout).await;
        answer.unwrap_or_else(|error| Err(DeclareError::Broker(error)))
    }

    /// Publishes a letter, and waits for its confirm: then it is stored, and is not lost.
    ///
    /// # Errors
    /// [`PublishError`]: it was not taken; or, where the broker has not answered, it is not known whether it
    /// was. Whoever publishes it again then may publish it twice.
    ///
    /// # Panics
    /// Where the message does not encode.
    pub async fn publish(&self, message: &M) -> Result<LetterId, PublishError> {
        self.publish_with(Terms::new(), message).await
    }

    /// The same, on these terms.
    ///
    /// # Errors
    /// As [`Queue::publish`].
    ///
    /// # Panics
    /// As [`Queue::publish`].
    pub async fn publish_with(&self, terms: Terms, message: &M) -> Result<LetterId, PublishError> {
        let publication = Publication {
            queue: self.name.clone(),
            body: body_of(message),
            priority: terms.priority,
            deadline: terms.deadline,
        };
        let ask = |reply_to| ToBroker::Publish(publication, reply_to);
        let answer = self.broker.call(ask, self.timeout).await;
        answer.unwrap_or_else(|error| Err(PublishError::Unknown(error)))
    }

    /// Makes this process a consumer, which is given at most `prefetch` letters before it settles some. It
    /// ends with its handle, with its process, and with the connection to the broker.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn consume(&self, prefetch: u32) -> Result<Consumer<M>, ConsumeError> {
        self.consume_as(prefetch, false).await
    }

    /// The same, for itself: while it lives the queue has no other consumer.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn consume_exclusively(&self, prefetch: u32) -> Result<Consumer<M>, ConsumeError> {
        self.consume_as(prefetch, true).await
    }

    async fn consume_as(&self, prefetch: u32, alone: bool) -> Result<Consumer<M>, ConsumeError> {
        let mut asked = Asked {
            broker: self.broker,
            call: None,
        };
        let ask = |reply_to: ReplyTo<_>| {
            asked.call = Some(reply_to.call());
            ToBroker::Consume(self.name.clone(), prefetch, alone, reply_to)
        };
        let answer = self.broker.call(ask, self.timeout).await;
        let answer = answer.map_err(ConsumeError::Broker)?;
        asked.call = None;
        let tag = answer?;
        Ok(Consumer {
            broker: self.broker,
            tag,
            prefetch,
            given: VecDeque::new(),
            asking: None,
            letters: PhantomData,
        })
    }

    /// Settles an attempt at a letter by hand, as whoever has only its id can: and says whether that did
    /// anything.
    ///
    /// # Errors
    /// [`SettleError`]: it was settled already, was never sent, or the broker did not answer.
    pub async fn settle(
        &self,
        letter: LetterId,
        attempt: u32,
        how: Settle,
    ) -> Result<(), SettleError> {
        let ask = |reply_to| ToBroker::SettleNow(letter, attempt, how, reply_to);
        let answer = self.broker.call(ask, self.timeout).await;
        answer.unwrap_or_else(|error| Err(SettleError::Broker(error)))
    }

    /// How it stands with it; nothing where it was not declared.
    ///
    /// # Errors
    /// [`CallError`]: the broker did not answer.
    pub async fn info(&self) -> Result<Option<QueueInfo>, CallError> {
        let ask = |reply_to| ToBroker::Info(self.name.clone(), reply_to);
        self.broker.call(ask, self.timeout).await
    }

    /// What has become of all letters of its broker, since that was started.
    ///
    /// # Errors
    /// [`CallError`]: the broker did not answer.
    pub async fn counts(&self) -> Result<QueueCounts, CallError> {
        self.broker.call(ToBroker::Counts, self.timeout).await
    }
}

/// A question whether one may be a consumer: where its answer is not heard, nobody is.
struct Asked {
    broker: Address<ToBroker>,
    call: Option<(Pid, u32)>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some((pid, call)) = self.call
            && may_act()
        {
            self.broker.send(ToBroker::Disown(pid, call));
        }
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Result<Vec<Carried>, ConsumeError>, CallError>>>>;

/// A consumer: a process that takes letters out of a queue.
///
/// Dropped, it is cancelled: the letters that it has not settled go back to their places.
pub struct Consumer<M> {
    broker: Address<ToBroker>,
    tag: u64,
    prefetch: u32,
    /// Letters that are here, and whose processing has not begun.
    given: VecDeque<Carried>,
    /// The wait for more.
    asking: Option<Asking>,
    letters: PhantomData<fn() -> M>,
}

impl<M> fmt::Debug for Consumer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({:?}, {} given)", self.broker, self.given.len())
    }
}

impl<M: Message> Consumer<M> {
    /// Takes the next letter; waits where there is none. With that its processing begins: if this process
    /// ends before it has settled it, this letter is blamed, and none that was only given.
    ///
    /// Dropped, it has lost nothing. A letter that is not of type `M` goes to the dead letters.
    ///
    /// # Errors
    /// [`ConsumeError`]: this consumer is no more, since the broker or the way to it has failed. Make
    /// another.
    pub async fn next(&mut self) -> Result<Delivery<M>, ConsumeError> {
        loop {
            // More is asked for before all is used up, so that there is no pause.
            if self.given.len() <= self.prefetch as usize / 2 {
                self.poll_asking(false).await?;
            }
            let Some(carried) = self.given.pop_front() else {
                self.poll_asking(true).await?;
                continue;
            };
            let (letter, attempt) = (carried.letter, carried.attempt);
            self.broker.send(ToBroker::Begin(letter, attempt));
            let is_dead = !carried.deaths.is_empty();
            if !is_dead {
                own_context().tell_mail(letter, attempt, Mailed::Delivered);
            }
            match message_of(&carried.body) {
                Some(message) => {
                    return Ok(Delivery {
                        broker: self.broker,
                        message,
                        letter,
                        attempt,
                        redelivered: carried.redelivered,
                        deaths: carried.deaths,
                    });
                }
                None => settle(self.broker, letter, attempt, Settle::Unreadable),
            }
        }
    }

    /// Asks for more letters, where that is not asked already, and takes what has come; `waits` until some
    /// have.
    async fn poll_asking(&mut self, waits: bool) -> Result<(), ConsumeError> {
        poll_fn(|cx| {
            let (broker, tag) = (self.broker, self.tag);
            let asking = self.asking.get_or_insert_with(|| {
                Box::pin(broker.call_for_ever(move |reply_to| ToBroker::Next(tag, reply_to)))
            });
            let answer = match asking.as_mut().poll(cx) {
                Poll::Ready(answer) => answer,
                Poll::Pending if waits => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            };
            self.asking = None;
            Poll::Ready(match answer {
                Ok(Ok(carried)) => {
                    self.given.extend(carried);
                    Ok(())
                }
                Ok(Err(error)) => Err(error),
                Err(error) => Err(ConsumeError::Broker(error)),
            })
        })
        .await
    }
}

impl<M> Drop for Consumer<M> {
    fn drop(&mut self) {
        // Of a process that has ended the broker hears in another way.
        if may_act() {
            self.broker.send(ToBroker::Cancel(self.tag));
        }
    }
}

/// A letter that a consumer has taken, and must settle: by an ack, a nack or a reject, which use it up. So
/// it cannot be settled twice:
///
/// ```compile_fail,E0382
/// # use netsplit::mail::queue::Delivery;
/// fn twice(delivery: Delivery<String>) {
///     delivery.ack();
///     delivery.ack(); // error[E0382]: use of moved value
/// }
/// ```
///
/// What comes a second time over a wire, or too late, names letter and attempt: the broker knows it by that,
/// counts it, and does nothing. Dropped without being settled, the letter stays with its consumer, and goes
/// back when that ends.
#[must_use = "a letter that is not settled stays with its consumer until that ends"]
pub struct Delivery<M> {
    broker: Address<ToBroker>,
    message: M,
    letter: LetterId,
    attempt: u32,
    redelivered: bool,
    deaths: Vec<Death>,
}

impl<M: fmt::Debug> fmt::Debug for Delivery<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.letter.number;
        write!(
            f,
            "Delivery({number}, attempt {}: {:?})",
            self.attempt, self.message
        )
    }
}

impl<M> Delivery<M> {
    /// The message.
    pub fn message(&self) -> &M {
        &self.message
    }

    /// Which letter it is: the same at each delivery, over all reboots. Remember it together with the effect
    /// where that must not happen twice.
    #[must_use]
    pub fn letter(&self) -> LetterId {
        self.letter
    }

    /// The how-manieth delivery of this letter it is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether this queue has delivered it before: then it may have been processed before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// Where and why it has died, the first death first; empty for a letter that has not.
    #[must_use]
    pub fn deaths(&self) -> &[Death] {
        &self.deaths
    }

    /// It is done: the broker forgets it.
    pub fn ack(self) {
        if self.deaths.is_empty() {
            own_context().tell_mail(self.letter, self.attempt, Mailed::Consumed);
        }
        settle(self.broker, self.letter, self.attempt, Settle::Ack);
    }

    /// It is not done: with `requeue` it goes back to its place, to be delivered again, unless it was tried
    /// as often as it may be; without, it is rejected.
    pub fn nack(self, requeue: bool) {
        let how = if requeue {
            Settle::Requeue
        } else {
            Settle::Reject
        };
        settle(self.broker, self.letter, self.attempt, how);
    }

    /// It will never be done: it goes to the dead letters.
    pub fn reject(self) {
        self.nack(false);
    }
}

fn settle(broker: Address<ToBroker>, letter: LetterId, attempt: u32, how: Settle) {
    broker.send_as(PacketKind::Ack, ToBroker::Settle(letter, attempt, how));
}
