//! Reading what serde alone would take too kindly.

use core::fmt;
use core::marker::PhantomData;
use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// An object whose members are named by ids. None is given twice, not even under two spellings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
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
