//! The serialised form of values in a file and in the metadata: sizes as in the option, and a single value
//! instead of a list with one element.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serializer};

use crate::model::Size;

/// A size as in the option: `8G`, or a number of MiB.
#[allow(clippy::ref_option)] // required by serde
pub(super) fn write_size<S: Serializer>(size: &Option<Size>, serializer: S) -> Result<S::Ok, S::Error> {
    match size {
        Some(size) => serializer.collect_str(size),
        None => serializer.serialize_none(),
    }
}

pub(super) fn read_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    struct NumberOrText;

    impl Visitor<'_> for NumberOrText {
        type Value = Option<Size>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"8G\", or a number of MiB")
        }

        fn visit_u64<E: Error>(self, mib: u64) -> Result<Self::Value, E> {
            self.visit_str(&mib.to_string())
        }

        fn visit_i64<E: Error>(self, mib: i64) -> Result<Self::Value, E> {
            self.visit_str(&mib.to_string())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Size::asked(text).map(Some).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(NumberOrText)
}

/// A list, or a single value.
pub(super) fn one_or_many<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string, or a list of strings")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            T::deserialize(serde::de::value::StrDeserializer::new(text)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(OneOrMany(PhantomData))
}
