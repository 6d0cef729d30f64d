//! Periods of the UTC calendar.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

/// For how long a limit counts before it begins anew. The calendar is UTC's: no time zone or daylight saving gives two
/// budgets for one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday (ISO 8601).
    Week,
    /// From the first to the first.
    Month,
    /// For ever.
    Total,
}

/// One period: what is reserved in it is charged to it, whenever it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Its first moment; `None` has none.
    pub starts_at: Option<Timestamp>,
    /// The first moment after it; `None`: it never ends.
    pub ends_at: Option<Timestamp>,
}

impl Window {
    /// All of time.
    pub const ALWAYS: Self = Self { starts_at: None, ends_at: None };

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.starts_at.is_none_or(|start| start <= at) && self.ends_at.is_none_or(|end| at < end)
    }
}

impl Period {
    /// The period that a moment lies in. A clock that is set back finds the same period that it found before, with all
    /// that was spent in it. At the very ends of time a period is cut off.
    #[must_use]
    pub fn window(self, at: Timestamp) -> Window {
        let day = at.to_zoned(TimeZone::UTC).date();
        let (start, length) = match self {
            Self::Total => return Window::ALWAYS,
            Self::Day => (Some(day), 1.day()),
            Self::Week => {
                let since = day.weekday().since(Weekday::Monday);
                (day.checked_sub(i64::from(since).days()).ok(), 1.week())
            }
            Self::Month => (Some(day.first_of_month()), 1.month()),
        };
        let moment =
            |date: jiff::civil::Date| date.to_zoned(TimeZone::UTC).ok().as_ref().map(Zoned::timestamp);
        let end = start.and_then(|start| start.checked_add(length).ok());
        Window { starts_at: start.and_then(moment), ends_at: end.and_then(moment) }
    }
}
