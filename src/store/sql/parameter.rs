//! What statements are given, in the few types that both databases store.

use std::borrow::Cow;

/// A value on its way into a column; `None` is NULL.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// Numbers, flags, times, amounts.
    Int(Option<i64>),
    /// Names and JSON.
    Text(Option<Cow<'a, str>>),
    /// Digests, salts, what is sealed.
    Bytes(Option<Cow<'a, [u8]>>),
    /// Ids.
    Id(Option<[u8; 16]>),
}

/// What can be given to a statement.
pub(super) trait Parameter: Send + Sync {
    fn value(&self) -> Value<'_>;

    /// NULL, of the same type.
    fn null() -> Value<'static>
    where
        Self: Sized;
}

/// The parameters of a statement, in order.
macro_rules! params {
    ($($parameter:expr),* $(,)?) => {
        &[$(&$parameter as &dyn $crate::store::sql::parameter::Parameter),*]
            as &[&dyn $crate::store::sql::parameter::Parameter]
    };
}
/// One of the rows that a statement is run for.
macro_rules! row {
    ($($parameter:expr),* $(,)?) => {
        vec![$($crate::store::sql::parameter::owned(&$parameter)),*]
    };
}
pub(super) use {params, row};

/// A value that outlives what it was made of.
pub(super) fn owned<T: Parameter>(parameter: &T) -> Value<'static> {
    match parameter.value() {
        Value::Int(value) => Value::Int(value),
        Value::Text(value) => Value::Text(value.map(|text| Cow::Owned(text.into_owned()))),
        Value::Bytes(value) => Value::Bytes(value.map(|bytes| Cow::Owned(bytes.into_owned()))),
        Value::Id(value) => Value::Id(value),
    }
}

impl Parameter for Value<'static> {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Int(value) => Value::Int(*value),
            Self::Text(value) => Value::Text(value.as_deref().map(Cow::Borrowed)),
            Self::Bytes(value) => Value::Bytes(value.as_deref().map(Cow::Borrowed)),
            Self::Id(value) => Value::Id(*value),
        }
    }

    fn null() -> Self {
        Self::Int(None)
    }
}

macro_rules! parameter {
    ($($type:ty: $kind:ident, $self:ident => $value:expr;)*) => {$(
        impl Parameter for $type {
            fn value(&self) -> Value<'_> {
                let $self = self;
                Value::$kind(Some($value))
            }

            fn null() -> Value<'static> {
                Value::$kind(None)
            }
        }
    )*};
}

parameter! {
    i64: Int, number => *number;
    i32: Int, number => i64::from(*number);
    &str: Text, text => Cow::Borrowed(*text);
    &String: Text, text => Cow::Borrowed(text.as_str());
    String: Text, text => Cow::Borrowed(text.as_str());
    &[u8]: Bytes, bytes => Cow::Borrowed(*bytes);
    Vec<u8>: Bytes, bytes => Cow::Borrowed(bytes.as_slice());
    // A spender.
    [u8; 17]: Bytes, bytes => Cow::Borrowed(bytes.as_slice());
    [u8; 32]: Bytes, bytes => Cow::Borrowed(bytes.as_slice());
    &[u8; 32]: Bytes, bytes => Cow::Borrowed(bytes.as_slice());
    // Of this size there are ids alone.
    [u8; 16]: Id, id => *id;
    &[u8; 16]: Id, id => **id;
}

impl<T: Parameter> Parameter for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or_else(|| T::null(), Parameter::value)
    }

    fn null() -> Value<'static> {
        T::null()
    }
}
