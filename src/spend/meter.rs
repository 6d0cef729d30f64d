//! One limit in one window, and what each step does to it.

use crate::error::Coded;
use crate::money::{Amount, Cost, Credits, Overflow};

/// One limit in one window, or a pool: what may be spent, and what was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// How much may be spent; for a pool, how much was ever granted.
    pub limit: Credits,
    /// What was spent.
    pub settled: Credits,
    /// What is reserved and not settled.
    pub held: Credits,
    /// What was reserved by somebody who is gone.
    pub unaccounted: Credits,
    /// How far beyond the limit it was ever taken, on the record.
    pub overrun: Credits,
}

/// What an entry of the ledger moves. Every balance is the sum of its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// What is held more, or less when it is below zero.
    pub held: Credits,
    /// What is settled more.
    pub settled: Credits,
    /// What is unaccounted more, or less when it is below zero.
    pub unaccounted: Credits,
}

/// Not enough is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{left} credits are left, {wanted} were asked for")]
pub struct Short {
    /// Which of the meters that were asked, from 0: the first that has too little.
    pub at: usize,
    /// What is left of it; below zero when it is overrun.
    pub left: Credits,
    /// What was asked for.
    pub wanted: Amount,
}

/// A step that cannot be: more given back than was held, or a sum that does not fit. A fault of the caller's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// More is to be given back or settled than is held, or unaccounted.
    #[error("more is given back than was held")]
    NotHeld,
    /// A sum does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl core::fmt::Display for Amount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.credits(), f)
    }
}

impl Coded for Short {
    fn code(&self) -> &'static str {
        "budget_exceeded"
    }
}

impl Coded for Broken {
    fn code(&self) -> &'static str {
        match self {
            Self::NotHeld => "not_held",
            Self::Overflow(overflow) => overflow.code(),
        }
    }
}

/// Reserves an amount on all meters or on none: a key's limit, its project's, the pool. What is added to a reservation later
/// is reserved in the same way.
///
/// # Errors
/// [`Short`] names the first meter that has too little; no meter is changed.
pub fn reserve(meters: &mut [Meter], amount: Amount) -> Result<(), Short> {
    let mut after: Vec<Meter> = Vec::with_capacity(meters.len());
    for (at, meter) in meters.iter().enumerate() {
        let left = meter.left();
        let held = meter.held.plus(amount.credits()).ok().filter(|_| left >= amount.credits());
        let held = held.ok_or(Short { at, left, wanted: amount })?;
        after.push(Meter { held, ..*meter });
    }
    meters.copy_from_slice(&after);
    Ok(())
}

impl Meter {
    /// A limit of which nothing is used.
    #[must_use]
    pub fn new(limit: Credits) -> Self {
        Self { limit, ..Self::default() }
    }

    /// What is used: settled, held and unaccounted. As large as can be where the sum does not fit, so that nothing more is
    /// reserved.
    #[must_use]
    pub fn used(&self) -> Credits {
        let sum = self.settled.plus(self.held).and_then(|sum| sum.plus(self.unaccounted));
        sum.unwrap_or(Credits::from_millionths(i64::MAX))
    }

    /// What can still be reserved; below zero when more is used than the limit allows.
    #[must_use]
    pub fn left(&self) -> Credits {
        self.limit.minus(self.used()).unwrap_or(Credits::from_millionths(i64::MIN))
    }

    /// Books what has become of holds. What is used beyond the limit afterwards is an overrun, on the record.
    ///
    /// # Errors
    /// [`Broken::NotHeld`] when more is taken from what is held, unaccounted or settled than there is;
    /// [`Broken::Overflow`] when a sum does not fit. Nothing is changed then.
    pub fn book(&mut self, delta: Delta) -> Result<(), Broken> {
        self.take_over(Self {
            held: moved(self.held, delta.held)?,
            settled: moved(self.settled, delta.settled)?,
            unaccounted: moved(self.unaccounted, delta.unaccounted)?,
            ..*self
        })
    }

    /// Sets another limit. What is used beyond a lowered one is an overrun from then on.
    ///
    /// # Errors
    /// [`Broken::Overflow`] when a sum does not fit.
    pub fn set_limit(&mut self, limit: Credits) -> Result<(), Broken> {
        self.take_over(Self { limit, ..*self })
    }

    /// Whether `settled + held + unaccounted ≤ limit + overrun`, and nothing but the limit is negative.
    #[must_use]
    pub fn holds(&self) -> bool {
        let parts = [self.settled, self.held, self.unaccounted, self.overrun];
        let sum = |sums: &[Credits]| sums.iter().map(|sum| i128::from(sum.millionths())).sum::<i128>();
        let used = sum(&[self.settled, self.held, self.unaccounted]);
        parts.iter().all(|part| !part.is_negative()) && used <= sum(&[self.limit, self.overrun])
    }

    /// Takes the next state over, with what it uses beyond its limit on the record.
    fn take_over(&mut self, next: Self) -> Result<(), Broken> {
        let used = next.settled.plus(next.held)?.plus(next.unaccounted)?;
        let beyond = used.minus(next.limit)?;
        *self = Self { overrun: next.overrun.max(beyond), ..next };
        Ok(())
    }
}

impl Delta {
    /// Money is spent that was held: the hold goes, the cost is settled.
    #[must_use]
    pub fn settle(hold: Cost, cost: Cost) -> Self {
        Self { held: hold.credits().negated(), settled: cost.credits(), ..Self::default() }
    }

    /// A hold is given back.
    #[must_use]
    pub fn release(hold: Amount) -> Self {
        Self::settle(hold.into(), Cost::default())
    }

    /// A hold becomes unaccounted: whoever held it is gone, and may have spent it.
    #[must_use]
    pub fn expire(hold: Amount) -> Self {
        Self { held: hold.credits().negated(), unaccounted: hold.credits(), ..Self::default() }
    }

    /// A cost is settled of a hold that has expired. `unaccounted` is what of it still stood so: nothing, when it was written
    /// off meanwhile.
    #[must_use]
    pub fn settle_late(unaccounted: Cost, cost: Cost) -> Self {
        Self { unaccounted: unaccounted.credits().negated(), settled: cost.credits(), ..Self::default() }
    }

    /// What is unaccounted is given back: somebody has found out that it was not spent.
    #[must_use]
    pub fn write_off(unaccounted: Amount) -> Self {
        Self::settle_late(unaccounted.into(), Cost::default())
    }

    /// Whether nothing is moved.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

fn moved(from: Credits, by: Credits) -> Result<Credits, Broken> {
    let sum = from.plus(by)?;
    if sum.is_negative() { Err(Broken::NotHeld) } else { Ok(sum) }
}
