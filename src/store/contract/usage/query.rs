//! What can be asked of usage.

use core::fmt;
use core::str::FromStr;

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::access::Scope;
use crate::error::Coded;
use crate::id::ProjectId;
use crate::name::{MAX_USAGE_LABEL_LENGTH, UsageLabel};
use crate::spend::Spender;
use crate::store::record::UsageCounts;

/// The most steps of time in one query: 41 days by the hour, more than two years by the day.
pub const MAX_USAGE_STEPS: u32 = 1_000;

/// How long the steps of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageStep {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// What a chart has a line for each of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UsageSplit {
    /// One line for all.
    #[default]
    Nothing,
    /// A line for each spender.
    Spender,
    /// A line for each label.
    Label,
    /// A line for each scope.
    Scope,
}

/// Usage of one project over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    project: ProjectId,
    from: Timestamp,
    to: Timestamp,
    step: UsageStep,
    split: UsageSplit,
    spender: Option<Spender>,
    label: Option<UsageLabel>,
    scope: Option<Scope>,
}

/// A span of time that usage cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUsageRange {
    /// It ends before it begins, or as it does.
    #[error("usage is asked for from a moment to a later one")]
    Empty,
    /// It has too many steps.
    #[error("at most {MAX_USAGE_STEPS} hours or days of usage are asked for at a time")]
    TooLong,
}

/// Which line of a chart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageSeries {
    /// The only one.
    All,
    /// A spender's.
    Spender(Spender),
    /// A label's; the empty one is of what has no label.
    Label(UsageLabel),
    /// A scope's.
    Scope(Scope),
}

/// How much was used in one step of one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsagePoint {
    /// Of what.
    #[serde(flatten)]
    pub series: UsageSeries,
    /// When the step begins.
    pub at: Timestamp,
    /// How much.
    #[serde(flatten)]
    pub counts: UsageCounts,
}

/// How far a reader of points has come. It means something only with the query that it came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageCursor {
    name: String,
    at: Timestamp,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct MalformedUsageCursor(());

impl Coded for BadUsageRange {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "usage_range_empty",
            Self::TooLong => "usage_range_too_long",
        }
    }
}

impl Coded for MalformedUsageCursor {
    fn code(&self) -> &'static str {
        "usage_cursor_malformed"
    }
}

impl UsageStep {
    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The start of the step that a moment is in.
    #[must_use]
    pub fn start_of(self, moment: Timestamp) -> Timestamp {
        let second = moment.as_second();
        // Before 1970 a moment with a fraction counts as its next second.
        let second = second - i64::from(moment.subsec_nanosecond() < 0);
        Timestamp::from_second(second - second.rem_euclid(self.seconds())).unwrap_or(Timestamp::MIN)
    }

    /// The first start of a step at a moment or behind it.
    fn start_from(self, moment: Timestamp) -> Timestamp {
        let start = self.start_of(moment);
        if start == moment {
            return start;
        }
        Timestamp::from_second(start.as_second().saturating_add(self.seconds())).unwrap_or(Timestamp::MAX)
    }
}

impl UsageQuery {
    /// All usage of a project in a span of time, widened to whole steps.
    ///
    /// # Errors
    /// [`BadUsageRange`].
    pub fn new(
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
        step: UsageStep,
    ) -> Result<Self, BadUsageRange> {
        if from >= to {
            return Err(BadUsageRange::Empty);
        }
        let (from, to) = (step.start_of(from), step.start_from(to));
        if (to.as_second() - from.as_second()) / step.seconds() > i64::from(MAX_USAGE_STEPS) {
            return Err(BadUsageRange::TooLong);
        }
        let split = UsageSplit::Nothing;
        Ok(Self { project, from, to, step, split, spender: None, label: None, scope: None })
    }

    /// A line for each of something.
    #[must_use]
    pub fn split(self, split: UsageSplit) -> Self {
        Self { split, ..self }
    }

    /// One spender's alone.
    #[must_use]
    pub fn of_spender(self, spender: Spender) -> Self {
        Self { spender: Some(spender), ..self }
    }

    /// One label's alone; the empty one asks for what has no label.
    #[must_use]
    pub fn of_label(self, label: UsageLabel) -> Self {
        Self { label: Some(label), ..self }
    }

    /// One scope's alone.
    #[must_use]
    pub fn of_scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Nothing of steps that begin before a moment.
    #[must_use]
    pub fn not_before(self, moment: Timestamp) -> Self {
        Self { from: self.from.max(self.step.start_from(moment)), ..self }
    }

    /// Of which project.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// From when on.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Before when.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// In which steps.
    #[must_use]
    pub fn step(&self) -> UsageStep {
        self.step
    }

    /// How it is split.
    #[must_use]
    pub fn split_by(&self) -> UsageSplit {
        self.split
    }

    /// Whose alone, if not everybody's.
    #[must_use]
    pub fn spender(&self) -> Option<Spender> {
        self.spender
    }

    /// Of which label alone, if not of all.
    #[must_use]
    pub fn label(&self) -> Option<&UsageLabel> {
        self.label.as_ref()
    }

    /// Of which scope alone, if not of all.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }
}

impl UsageSeries {
    /// Its name: by these, byte by byte, the series of one query are ordered.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Spender(spender) => spender.to_string(),
            Self::Label(label) => label.as_str().to_owned(),
            Self::Scope(scope) => scope.as_str().to_owned(),
        }
    }
}

/// One member, named for what it is; none where there is one series only.
impl Serialize for UsageSeries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::All => {}
            Self::Spender(spender) => map.serialize_entry("spender", spender)?,
            Self::Label(label) => map.serialize_entry("label", label)?,
            Self::Scope(scope) => map.serialize_entry("scope", scope)?,
        }
        map.end()
    }
}

impl UsagePoint {
    /// Where the points behind this one begin.
    #[must_use]
    pub fn cursor(&self) -> UsageCursor {
        UsageCursor { name: self.series.name(), at: self.at }
    }
}

impl UsageCursor {
    /// For adapters: the name of the last point's series.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For adapters: when the last point's step began.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// The second, and the name of the series.
impl fmt::Display for UsageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.at.as_second(), self.name)
    }
}

impl FromStr for UsageCursor {
    type Err = MalformedUsageCursor;

    fn from_str(text: &str) -> Result<Self, MalformedUsageCursor> {
        let (second, name) = text.split_once(':').ok_or(MalformedUsageCursor(()))?;
        let second = second.parse().map_err(|_| MalformedUsageCursor(()))?;
        let at = Timestamp::from_second(second).map_err(|_| MalformedUsageCursor(()))?;
        // The longest name of a series is a label.
        if name.chars().nth(MAX_USAGE_LABEL_LENGTH).is_some() {
            return Err(MalformedUsageCursor(()));
        }
        Ok(Self { name: name.to_owned(), at })
    }
}

impl Serialize for UsageCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::id::Id as _;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn asked(from: &str, to: &str, step: UsageStep) -> Result<UsageQuery, BadUsageRange> {
        UsageQuery::new(ProjectId::from_uuid(uuid::Uuid::nil()), at(from), at(to), step)
    }

    #[test]
    fn a_span_is_widened_to_whole_steps() {
        let day = asked("2026-03-01T11:30:00.5Z", "2026-03-02T00:00:00.000001Z", UsageStep::Day).unwrap();
        assert_eq!((day.from(), day.to()), (at("2026-03-01T00:00:00Z"), at("2026-03-03T00:00:00Z")));
        let hour = asked("2026-03-01T11:30:00.5Z", "2026-03-01T12:00:00Z", UsageStep::Hour).unwrap();
        assert_eq!((hour.from(), hour.to()), (at("2026-03-01T11:00:00Z"), at("2026-03-01T12:00:00Z")));
        assert_eq!(UsageStep::Hour.start_of(at("1969-12-31T23:00:00.5Z")), at("1969-12-31T23:00:00Z"));
        assert_eq!(UsageStep::Hour.start_of(at("1969-12-31T22:59:59.5Z")), at("1969-12-31T22:00:00Z"));
    }

    #[test]
    fn a_span_has_at_most_so_many_steps_and_is_not_empty() {
        let (from, to) = ("2026-03-01T00:00:00Z", "2026-04-11T16:00:00Z");
        assert!(asked(from, to, UsageStep::Hour).is_ok());
        assert_eq!(asked(from, "2026-04-11T16:00:01Z", UsageStep::Hour), Err(BadUsageRange::TooLong));
        assert_eq!(asked(from, from, UsageStep::Day), Err(BadUsageRange::Empty));
        assert_eq!(asked(to, from, UsageStep::Day), Err(BadUsageRange::Empty));
        let most = UsageQuery::new(
            ProjectId::from_uuid(uuid::Uuid::nil()),
            Timestamp::MIN,
            Timestamp::MAX,
            UsageStep::Day,
        );
        assert_eq!(most, Err(BadUsageRange::TooLong));
    }

    #[test]
    fn a_cursor_reads_back_from_its_text() {
        let series = UsageSeries::Label(UsageLabel::parse("meta/llama:8b").unwrap());
        let point = UsagePoint { series, at: at("2026-03-01T00:00:00Z"), counts: UsageCounts::request(true) };
        assert_eq!(point.cursor().to_string().parse(), Ok(point.cursor()));
        for text in ["", "7", "x:a", "99999999999999999:a", &format!("7:{}", "a".repeat(65))] {
            assert!(text.parse::<UsageCursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_point_is_shown_with_what_it_is_of() {
        let series = UsageSeries::Spender("member:00000000-0000-0000-0000-000000000007".parse().unwrap());
        let point =
            UsagePoint { series, at: at("2026-03-01T00:00:00Z"), counts: UsageCounts::request(false) };
        let json = serde_json::to_value(&point).unwrap();
        let expected = serde_json::json!({
            "spender": "member:00000000-0000-0000-0000-000000000007", "at": "2026-03-01T00:00:00Z",
            "allowed": 0, "refused": 1, "units": 0, "cost": "0",
        });
        assert_eq!(json, expected);
    }
}
