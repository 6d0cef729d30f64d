//! Sets of compiled names: 256 bits each, `Copy`, without allocation.

use super::name::{Permission, Scope};

mod sealed {
    pub trait Sealed {}
}

/// A set of compiled names: [`PermissionSet`] or [`ScopeSet`].
pub trait NameSet: sealed::Sealed {
    /// What the set is a set of.
    type Name;
}

macro_rules! sets {
    ($set:ident, $bit:ident, $name:ident, $what:literal) => {
        #[doc = concat!("The bit that a ", $what, " compiled to, in one catalogue. Never stored.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $bit(pub(super) u8);

        #[doc = concat!("A set of ", $what, "s, compiled by one catalogue. Never stored: names are.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $set([u64; 4]);

        impl $set {
            /// The empty set.
            pub const EMPTY: Self = Self([0; 4]);

            /// Whether the bit is in the set.
            #[inline]
            #[must_use]
            pub fn contains(&self, bit: $bit) -> bool {
                self.0.get(usize::from(bit.0 >> 6)).is_some_and(|word| word >> (bit.0 & 63) & 1 == 1)
            }

            /// Adds a bit.
            #[inline]
            pub fn insert(&mut self, bit: $bit) {
                if let Some(word) = self.0.get_mut(usize::from(bit.0 >> 6)) {
                    *word |= 1 << (bit.0 & 63);
                }
            }

            /// What is in either.
            #[inline]
            #[must_use]
            pub fn union(&self, other: &Self) -> Self {
                self.joined(other, |a, b| a | b)
            }

            /// What is in both.
            #[inline]
            #[must_use]
            pub fn intersection(&self, other: &Self) -> Self {
                self.joined(other, |a, b| a & b)
            }

            /// What is in this set and not in the other.
            #[inline]
            #[must_use]
            pub fn difference(&self, other: &Self) -> Self {
                self.joined(other, |a, b| a & !b)
            }

            /// Whether the other set has everything that is in this one.
            #[inline]
            #[must_use]
            pub fn is_subset_of(&self, other: &Self) -> bool {
                self.difference(other).is_empty()
            }

            /// Whether nothing is in the set.
            #[inline]
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0 == [0; 4]
            }

            /// How many are in the set.
            #[must_use]
            pub fn len(&self) -> usize {
                self.iter().count()
            }

            /// The bits in the set, in the order of the catalogue.
            pub fn iter(&self) -> impl Iterator<Item = $bit> + use<> {
                let set = *self;
                (0..=u8::MAX).map($bit).filter(move |bit| set.contains(*bit))
            }

            #[inline]
            fn joined(&self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
                let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
                Self([join(a, e), join(b, f), join(c, g), join(d, h)])
            }
        }

        impl FromIterator<$bit> for $set {
            fn from_iter<I: IntoIterator<Item = $bit>>(bits: I) -> Self {
                let mut set = Self::EMPTY;
                bits.into_iter().for_each(|bit| set.insert(bit));
                set
            }
        }

        impl sealed::Sealed for $set {}

        impl NameSet for $set {
            type Name = $name;
        }
    };
}

sets!(PermissionSet, PermissionBit, Permission, "permission");
sets!(ScopeSet, ScopeBit, Scope, "scope");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(of: &BTreeSet<u8>) -> ScopeSet {
        of.iter().copied().map(ScopeBit).collect()
    }

    fn back(set: ScopeSet) -> BTreeSet<u8> {
        set.iter().map(|bit| bit.0).collect()
    }

    proptest! {
        #[test]
        fn a_bit_set_behaves_like_a_set(a: BTreeSet<u8>, b: BTreeSet<u8>, x: u8) {
            let (p, q) = (set(&a), set(&b));
            prop_assert_eq!(back(p), a.clone());
            prop_assert_eq!(back(p.union(&q)), &a | &b);
            prop_assert_eq!(back(p.intersection(&q)), &a & &b);
            prop_assert_eq!(back(p.difference(&q)), &a - &b);
            prop_assert_eq!(p.is_subset_of(&q), a.is_subset(&b));
            prop_assert!(p.intersection(&q).is_subset_of(&p));
            prop_assert_eq!(p.contains(ScopeBit(x)), a.contains(&x));
            prop_assert_eq!(p.len(), a.len());
            prop_assert_eq!(p.is_empty(), a.is_empty());
        }
    }
}
