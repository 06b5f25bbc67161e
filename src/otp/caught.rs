//! A handler's panic as a value, so that what it borrowed survives it.

use crate::kernel::{Panicked, run_user};
use crate::process::{Context, ExitReason, Message};
use pin_project::pin_project;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// A future whose panic is a value.
#[pin_project]
pub(crate) struct Caught<F>(#[pin] pub(crate) F);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let inner = self.project().0;
        match run_user(|| inner.poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

/// The exit reason of a panic, which is noted with its place.
pub(crate) fn noted<M: Message>(ctx: &Context<M>, panicked: Panicked) -> ExitReason {
    let place = panicked.place.as_deref().unwrap_or("an unknown place");
    ctx.note(format_args!("panicked at {place}: {}", panicked.message));
    panicked.into()
}
