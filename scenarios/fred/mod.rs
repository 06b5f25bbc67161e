//! fred: a chatbot platform with 178 million messages a day, none of which may be lost, and whose order is
//! kept.

pub(crate) mod publisher;
