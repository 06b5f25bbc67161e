//! Queues with RabbitMQ's meaning: each rule by itself, and all of them while brokers and consumers crash.
#![cfg(feature = "sim")]

mod bad_input;
mod bounds;
mod common;
mod consumers;
mod crashes;
mod dead_letters;
