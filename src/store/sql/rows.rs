//! Reading stored rows back into records.
//!
//! A record's function takes the columns in the order in which its statements name them. A value that does not
//! read back is [`StoreError::Corrupt`] with the table and column: the data was altered from outside, or a newer
//! version wrote it.

pub(super) mod account;
pub(super) mod audit;
pub(super) mod key;
pub(super) mod ledger;
pub(super) mod policy;
pub(super) mod usage;
pub(super) mod workspace;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::email::EmailAddress;
use crate::id::Id;
use crate::source::Source;
use crate::store::StoreError;
use crate::store::record::Suspension;

type Stored<T> = Result<T, StoreError>;

/// A cell holds another type than asked for.
pub(super) struct WrongType;

/// One cell of a row; `None` is NULL.
pub(super) type Cell<T> = Result<Option<T>, WrongType>;

/// The cells of one row, whichever database it came from.
pub(super) trait Cells {
    fn int(&self, at: usize) -> Cell<i64>;
    fn text(&self, at: usize) -> Cell<&str>;
    fn bytes(&self, at: usize) -> Cell<&[u8]>;
}

/// Reads the columns of a row from left to right.
pub(super) struct Reader<'a> {
    row: &'a dyn Cells,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(row: &'a dyn Cells) -> Self {
        Self { row, at: 0 }
    }

    fn step(&mut self) -> usize {
        let at = self.at;
        self.at += 1;
        at
    }

    pub(super) fn opt_int(&mut self, what: &'static str) -> Stored<Option<i64>> {
        let at = self.step();
        self.row.int(at).map_err(|WrongType| StoreError::Corrupt { what })
    }

    pub(super) fn int(&mut self, what: &'static str) -> Stored<i64> {
        self.opt_int(what)?.ok_or(StoreError::Corrupt { what })
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(&mut self, what: &'static str) -> Stored<T> {
        T::try_from(self.int(what)?).map_err(|_| StoreError::Corrupt { what })
    }

    pub(super) fn flag(&mut self, what: &'static str) -> Stored<bool> {
        match self.int(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StoreError::Corrupt { what }),
        }
    }

    pub(super) fn opt_time(&mut self, what: &'static str) -> Stored<Option<Timestamp>> {
        let read = |micros| Timestamp::from_microsecond(micros).map_err(|_| StoreError::Corrupt { what });
        self.opt_int(what)?.map(read).transpose()
    }

    pub(super) fn time(&mut self, what: &'static str) -> Stored<Timestamp> {
        self.opt_time(what)?.ok_or(StoreError::Corrupt { what })
    }

    pub(super) fn opt_text(&mut self, what: &'static str) -> Stored<Option<&'a str>> {
        let at = self.step();
        self.row.text(at).map_err(|WrongType| StoreError::Corrupt { what })
    }

    pub(super) fn text(&mut self, what: &'static str) -> Stored<&'a str> {
        self.opt_text(what)?.ok_or(StoreError::Corrupt { what })
    }

    /// A text that is read by `parse`.
    pub(super) fn parsed<T, E>(
        &mut self,
        what: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Stored<T> {
        self.opt_parsed(what, parse)?.ok_or(StoreError::Corrupt { what })
    }

    pub(super) fn opt_parsed<T, E>(
        &mut self,
        what: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Stored<Option<T>> {
        self.opt_text(what)?.map(|text| parse(text).map_err(|_| StoreError::Corrupt { what })).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self, what: &'static str) -> Stored<T> {
        self.parsed(what, |text| serde_json::from_str(text))
    }

    pub(super) fn opt_json<T: DeserializeOwned>(&mut self, what: &'static str) -> Stored<Option<T>> {
        self.opt_parsed(what, |text| serde_json::from_str(text))
    }

    pub(super) fn email(&mut self, what: &'static str) -> Stored<EmailAddress> {
        self.parsed(what, EmailAddress::parse)
    }

    pub(super) fn opt_bytes(&mut self, what: &'static str) -> Stored<Option<&'a [u8]>> {
        let at = self.step();
        self.row.bytes(at).map_err(|WrongType| StoreError::Corrupt { what })
    }

    pub(super) fn bytes(&mut self, what: &'static str) -> Stored<&'a [u8]> {
        self.opt_bytes(what)?.ok_or(StoreError::Corrupt { what })
    }

    pub(super) fn opt_array<const N: usize>(&mut self, what: &'static str) -> Stored<Option<[u8; N]>> {
        let read = |bytes: &[u8]| bytes.try_into().map_err(|_| StoreError::Corrupt { what });
        self.opt_bytes(what)?.map(read).transpose()
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Stored<[u8; N]> {
        self.opt_array(what)?.ok_or(StoreError::Corrupt { what })
    }

    pub(super) fn opt_id<I: Id>(&mut self, what: &'static str) -> Stored<Option<I>> {
        let read = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|_| StoreError::Corrupt { what });
        Ok(self.opt_bytes(what)?.map(read).transpose()?.map(I::from_uuid))
    }

    pub(super) fn id<I: Id>(&mut self, what: &'static str) -> Stored<I> {
        self.opt_id(what)?.ok_or(StoreError::Corrupt { what })
    }

    pub(super) fn suspension(&mut self, what: &'static str) -> Stored<Option<Suspension>> {
        match (self.opt_time(what)?, self.opt_text(what)?) {
            (None, None) => Ok(None),
            (Some(since), Some(reason)) => Ok(Some(Suspension { since, reason: reason.to_owned() })),
            _ => Err(StoreError::Corrupt { what }),
        }
    }

    pub(super) fn source(&mut self, what: &'static str) -> Stored<Source> {
        let address = self.opt_parsed(what, str::parse)?;
        let mut source = address.map_or_else(Source::unknown, Source::from_address);
        if let Some(agent) = self.opt_text(what)? {
            source = source.with_user_agent(agent);
        }
        if let Some(request) = self.opt_text(what)? {
            source = source.with_request_id(request);
        }
        Ok(source)
    }
}

/// A value that no column can hold.
#[derive(Debug, thiserror::Error)]
#[error("a value is outside what can be stored: {0}")]
pub(super) struct Unstorable(&'static str);

/// An id as it is stored.
pub(super) fn id(id: impl Id) -> [u8; 16] {
    id.uuid().into_bytes()
}

/// A moment as it is stored.
pub(super) fn time(time: Timestamp) -> i64 {
    // The last second of time has fractions that cannot be read back.
    time.as_microsecond()
        .clamp(Timestamp::MIN.as_second() * 1_000_000, Timestamp::MAX.as_second() * 1_000_000)
}

/// A moment as it is stored.
pub(super) fn opt_time(time: Option<Timestamp>) -> Option<i64> {
    time.map(self::time)
}

/// A value as JSON.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Stored<String> {
    serde_json::to_string(value).map_err(StoreError::unavailable)
}

/// A value as JSON.
pub(super) fn opt_json<T: Serialize>(value: Option<&T>) -> Stored<Option<String>> {
    value.map(json).transpose()
}

/// A count as it is stored.
pub(super) fn count(count: u64, what: &'static str) -> Stored<i64> {
    i64::try_from(count).map_err(|_| StoreError::unavailable(Unstorable(what)))
}

/// The address of a source as it is stored.
pub(super) fn address(source: &Source) -> Option<String> {
    source.address().map(|address| address.to_string())
}
