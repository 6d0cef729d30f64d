//! Reading what serde alone would take too kindly.

use core::fmt;
use core::marker::PhantomData;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};

/// An object whose members are named by ids. None is given twice, not even under two spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ById<K: Ord, V>(pub BTreeMap<K, V>);

impl<K: Ord, V> Default for ById<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, K: Ord + DeserializeOwned, V: DeserializeOwned> Deserialize<'de> for ById<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<K, V>(PhantomData<fn() -> (K, V)>);

impl<'de, K: Ord + DeserializeOwned, V: DeserializeOwned> Visitor<'de> for Members<K, V> {
    type Value = ById<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members are named by ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((id, value)) = given.next_entry()? {
            if members.insert(id, value).is_some() {
                return Err(A::Error::custom("an id is given twice"));
            }
        }
        Ok(ById(members))
    }
}

/// A value that stands as an object. Of a struct, serde would take a list of its members' values, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<fn() -> T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, given: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(given)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// An object, or nothing.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// Objects by id.
pub(super) fn objects<'de, K: Ord + DeserializeOwned, V: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ById<K, V>, D::Error> {
    let read: ById<K, Object<V>> = ById::deserialize(deserializer)?;
    Ok(ById(read.0.into_iter().map(|(id, object)| (id, object.0)).collect()))
}

/// A member that may be `null` and may not be left out: nothing is taken away by forgetting it.
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A member that may be left out and, unless its own type has it, may not be `null`.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
