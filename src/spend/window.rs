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

/// A day of the UTC calendar, counted from the first of January 1970: what spending is charged to. Weeks and months are
/// made of whole days, so that a day tells in which of each it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(i32);

const SECONDS_PER_DAY: i64 = 86_400;

impl Day {
    /// Before all days: where the window of [`Period::Total`] begins.
    pub const FIRST: Self = Self(i32::MIN);
    /// Behind all days.
    pub const LAST: Self = Self(i32::MAX);

    /// The day that a moment lies in. A clock that is set back finds the day that it found before.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        // All of time is some millions of days long.
        Self(i32::try_from(at.as_second().div_euclid(SECONDS_PER_DAY)).unwrap_or(i32::MAX))
    }

    /// For adapters: its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// For adapters: the day of a number.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Its first moment; `None` before and behind all of time.
    #[must_use]
    pub fn starts_at(self) -> Option<Timestamp> {
        Timestamp::from_second(i64::from(self.0) * SECONDS_PER_DAY).ok()
    }

    /// The day after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Total];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The period of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// The first day of the period that a day lies in, and the first day behind it.
    #[must_use]
    pub fn days(self, day: Day) -> (Day, Day) {
        let at = day.starts_at().filter(|_| self != Self::Total);
        let Some(at) = at else { return (Day::FIRST, Day::LAST) };
        let window = self.window(at);
        let starts = window.starts_at.map_or(Day::FIRST, Day::of);
        (starts, window.ends_at.map_or(Day::LAST, Day::of))
    }

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
