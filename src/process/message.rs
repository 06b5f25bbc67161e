//! What a message is, how it is encoded between nodes, and the tag that goes with its bytes.

use crate::kernel::run_user;
use crate::trace::DeadReason;
use postcard::ser_flavors::Flavor;
use rustc_hash::FxHashMap;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use std::any::TypeId;
use std::cell::RefCell;
use std::fmt::Debug;
use xxhash_rust::xxh3::xxh3_64;

/// What processes send one another: any type that serde can write and read, and that has `Debug`.
///
/// Within a node a message is moved; between nodes it is encoded.
pub trait Message: Serialize + DeserializeOwned + Debug + 'static {}

impl<T: Serialize + DeserializeOwned + Debug + 'static> Message for T {}

/// Says of which type bytes are, and of which shape (version) of it: made from the names that serde
/// knows, so that every build agrees on it. A type may be renamed with `#[serde(rename = "…")]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tag {
    /// The type: the hash of its name.
    pub of: u32,
    /// The hash of its fields' or variants' names.
    pub shape: u32,
}

impl Tag {
    /// The tag of a message type.
    #[must_use]
    pub fn of<M: Message>() -> Tag {
        thread_local! {
            static TAGS: RefCell<FxHashMap<TypeId, Tag>> = RefCell::default();
        }
        let known = TAGS.with(|tags| tags.borrow().get(&TypeId::of::<M>()).copied());
        known.unwrap_or_else(|| {
            let mut probe = Probe::default();
            // The probe answers every question with an error: it only wants to hear the question.
            let _ = run_user(|| M::deserialize(&mut probe).is_ok());
            let hash = |text: &str| xxh3_64(text.as_bytes()) as u32;
            let tag = Tag {
                of: hash(&probe.name),
                shape: hash(&probe.parts),
            };
            TAGS.with(|tags| tags.borrow_mut().insert(TypeId::of::<M>(), tag));
            tag
        })
    }
}

/// A deserializer that learns what a type calls itself.
#[derive(Default)]
struct Probe {
    name: String,
    parts: String,
}

impl Probe {
    fn heard<T>(&mut self, name: &str, parts: &[&str]) -> Result<T, serde::de::value::Error> {
        name.clone_into(&mut self.name);
        self.parts = parts.join(",");
        Err(serde::de::value::Error::custom("only asking"))
    }
}

macro_rules! plain {
    ($($method:ident $name:literal)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            self.heard($name, &[])
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Probe {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        self.heard("any", &[])
    }

    plain! {
        deserialize_bool "bool" deserialize_i8 "i8" deserialize_i16 "i16" deserialize_i32 "i32"
        deserialize_i64 "i64" deserialize_i128 "i128" deserialize_u8 "u8" deserialize_u16 "u16"
        deserialize_u32 "u32" deserialize_u64 "u64" deserialize_u128 "u128" deserialize_f32 "f32"
        deserialize_f64 "f64" deserialize_char "char" deserialize_str "str"
        deserialize_string "str" deserialize_bytes "bytes" deserialize_byte_buf "bytes"
        deserialize_option "option" deserialize_unit "unit" deserialize_seq "seq"
        deserialize_map "map"
    }

    forward_to_deserialize_any! { identifier ignored_any }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.heard(name, &[])
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.heard(name, &["0"])
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, _: V) -> Result<V::Value, Self::Error> {
        self.heard(&format!("tuple of {len}"), &[])
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.heard(name, &vec!["_"; len])
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.heard(name, fields)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.heard(name, variants)
    }
}

struct Buffer(Vec<u8>);

impl Flavor for Buffer {
    type Output = Vec<u8>;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// Encodes a message into `buffer`, which is cleared first.
///
/// # Panics
/// Where the message's `Serialize` reports an error: a bug of its type, as a panic of the sender.
pub(crate) fn encode<M: Message>(message: &M, mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    encode_after(message, buffer)
}

/// Encodes a message after what stands in `buffer`.
///
/// # Panics
/// As [`encode`].
pub(crate) fn encode_after<M: Message>(message: &M, buffer: Vec<u8>) -> Vec<u8> {
    match postcard::serialize_with_flavor(message, Buffer(buffer)) {
        Ok(bytes) => bytes,
        Err(error) => panic!(
            "a message of type {} does not encode: {error}",
            type_name::<M>()
        ),
    }
}

/// Says of which type bytes are: its tag, made only where it is needed.
///
/// serde writes it as its tag, and reads one that came from another program.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "Tag", into = "Tag")]
pub struct Labeled(Origin);

/// Where a label was made.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// In this program, from a type.
    Here { of: TypeId, tag: fn() -> Tag },
    /// In another.
    Outside(Tag),
}

impl Labeled {
    /// The label of a message type.
    #[inline]
    #[must_use]
    pub fn of<M: Message>() -> Labeled {
        Labeled(Origin::Here {
            of: TypeId::of::<M>(),
            tag: Tag::of::<M>,
        })
    }

    /// The tag, as it goes with the bytes where they leave this program.
    #[must_use]
    pub fn tag(&self) -> Tag {
        match self.0 {
            Origin::Here { tag, .. } => tag(),
            Origin::Outside(tag) => tag,
        }
    }

    /// Whether bytes of this label may be read as `M`: the same type, whatever its version.
    #[inline]
    fn is<M: Message>(&self) -> bool {
        let is_same = matches!(self.0, Origin::Here { of, .. } if of == TypeId::of::<M>());
        is_same || self.tag().of == Tag::of::<M>().of
    }
}

impl From<Tag> for Labeled {
    /// The label of bytes that came from another program, with this tag.
    fn from(tag: Tag) -> Labeled {
        Labeled(Origin::Outside(tag))
    }
}

impl From<Labeled> for Tag {
    fn from(label: Labeled) -> Tag {
        label.tag()
    }
}

/// Decodes a message. Code of the user's type runs here.
pub(crate) fn decode<M: Message>(label: Labeled, bytes: &[u8]) -> Result<M, DeadReason> {
    if !label.is::<M>() {
        return Err(DeadReason::OtherType);
    }
    let read = run_user(|| postcard::take_from_bytes::<M>(bytes));
    match read {
        Ok(Ok((message, []))) => Ok(message),
        _ => Err(DeadReason::Undecodable),
    }
}

/// The last part of a type's name, for people.
pub(crate) fn type_name<M>() -> &'static str {
    std::any::type_name::<M>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    enum Account {
        Deposit(u64),
        Close,
    }

    mod newer {
        use super::*;
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) enum Account {
            Deposit(u64),
            Close,
            Freeze(u64),
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Other(u64);

    #[test]
    fn a_tag_tells_types_apart_and_versions_of_one_type() {
        let (old, new) = (Tag::of::<Account>(), Tag::of::<newer::Account>());
        assert_eq!(old.of, new.of);
        assert_ne!(old.shape, new.shape);
        assert_ne!(old.of, Tag::of::<Other>().of);
        assert_ne!(Tag::of::<u64>(), Tag::of::<i64>());
    }

    #[test]
    fn a_message_of_a_newer_version_decodes_where_its_variant_is_known() {
        let tag = Labeled::of::<newer::Account>();
        let known = encode(&newer::Account::Deposit(7), Vec::new());
        assert_eq!(decode::<Account>(tag, &known), Ok(Account::Deposit(7)));
        let unknown = encode(&newer::Account::Freeze(7), Vec::new());
        assert_eq!(
            decode::<Account>(tag, &unknown),
            Err(DeadReason::Undecodable)
        );
        assert!(encode(&newer::Account::Close, Vec::new()).len() == 1);
    }

    #[test]
    fn bytes_of_another_type_or_too_many_bytes_do_not_decode() {
        let bytes = encode(&Account::Close, Vec::new());
        assert_eq!(
            decode::<Account>(Labeled::of::<Other>(), &bytes),
            Err(DeadReason::OtherType)
        );
        let tag = Labeled::of::<Account>();
        assert_eq!(
            decode::<Account>(tag, &[1, 1]),
            Err(DeadReason::Undecodable)
        );
        assert_eq!(decode::<Account>(tag, &[]), Err(DeadReason::Undecodable));
    }
}
