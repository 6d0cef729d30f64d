//! The steps against a naive sequential model, and the calendar.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Broken, Day, Delta, Meter, Period, Window, reserve};
use crate::money::{Amount, Cost, Credits};

fn credits(millionths: i64) -> Credits {
    Credits::from_millionths(millionths)
}

fn amount(millionths: i64) -> Amount {
    Amount::new(credits(millionths)).unwrap()
}

fn cost(millionths: i64) -> Cost {
    Cost::new(credits(millionths)).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { key: usize, amount: i64 },
    Extend { hold: usize, more: i64 },
    Settle { hold: usize, cost: i64 },
    Release { hold: usize },
    Expire { hold: usize },
    Late { hold: usize, cost: i64 },
    WriteOff { hold: usize },
    SetLimit { meter: usize, limit: i64 },
}

fn steps() -> impl Strategy<Value = Step> {
    let hold = 0..12_usize;
    prop_oneof![
        4 => (0..2_usize, 1..60_i64).prop_map(|(key, amount)| Step::Reserve { key, amount }),
        2 => (hold.clone(), 1..30_i64).prop_map(|(hold, more)| Step::Extend { hold, more }),
        3 => (hold.clone(), 0..90_i64).prop_map(|(hold, cost)| Step::Settle { hold, cost }),
        2 => hold.clone().prop_map(|hold| Step::Release { hold }),
        2 => hold.clone().prop_map(|hold| Step::Expire { hold }),
        1 => (hold.clone(), 0..90_i64).prop_map(|(hold, cost)| Step::Late { hold, cost }),
        1 => hold.prop_map(|hold| Step::WriteOff { hold }),
        1 => (0..4_usize, 0..400_i64).prop_map(|(meter, limit)| Step::SetLimit { meter, limit }),
    ]
}

/// Two keys of one project over one pool: the meters of a key are its own, the project's, the pool.
const METERS: usize = 4;

fn of_key(key: usize) -> [usize; 3] {
    [key, 2, 3]
}

/// The model: every hold ever made, and nothing summed up.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Held,
    Settled(i64),
    Released,
    Gone,
    SettledLate(i64),
    WrittenOff,
}

struct Model {
    holds: Vec<(usize, i64, State)>,
    limits: [i64; METERS],
}

impl Model {
    fn sum(&self, meter: usize, of: impl Fn(i64, State) -> i64) -> i64 {
        let mine = self.holds.iter().filter(|(key, ..)| of_key(*key).contains(&meter));
        mine.map(|(_, amount, state)| of(*amount, *state)).sum()
    }

    fn settled(&self, meter: usize) -> i64 {
        self.sum(meter, |_, state| match state {
            State::Settled(cost) | State::SettledLate(cost) => cost,
            _ => 0,
        })
    }

    fn held(&self, meter: usize) -> i64 {
        self.sum(meter, |amount, state| if state == State::Held { amount } else { 0 })
    }

    fn unaccounted(&self, meter: usize) -> i64 {
        self.sum(meter, |amount, state| if state == State::Gone { amount } else { 0 })
    }

    fn left(&self, meter: usize) -> i64 {
        self.limits[meter] - self.settled(meter) - self.held(meter) - self.unaccounted(meter)
    }
}

fn picked(meters: &[Meter; METERS], key: usize) -> Vec<Meter> {
    of_key(key).iter().map(|at| meters[*at]).collect()
}

fn put(meters: &mut [Meter; METERS], key: usize, changed: &[Meter]) {
    for (at, meter) in of_key(key).iter().zip(changed) {
        meters[*at] = *meter;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Random histories, 100,000 steps in all: the meters agree with the model, a reservation is refused if and only if one
    /// of them has too little, and the invariant holds after every step
    #[test]
    fn random_histories_agree_with_the_model(
        limits in prop::array::uniform4(0..400_i64),
        history in prop::collection::vec(steps(), 100..101),
    ) {
        let mut meters = limits.map(|limit| Meter::new(credits(limit)));
        let mut model = Model { holds: Vec::new(), limits };
        for step in history {
            match step {
                Step::Reserve { key, amount: wanted } => {
                    let mut mine = picked(&meters, key);
                    let answer = reserve(&mut mine, amount(wanted));
                    let short = of_key(key).iter().position(|meter| model.left(*meter) < wanted);
                    prop_assert_eq!(answer.err().map(|short| short.at), short);
                    if short.is_none() {
                        model.holds.push((key, wanted, State::Held));
                    }
                    put(&mut meters, key, &mine);
                }
                Step::Extend { hold, more } => {
                    let Some((key, held, State::Held)) = model.holds.get(hold).copied() else { continue };
                    let mut mine = picked(&meters, key);
                    let answer = reserve(&mut mine, amount(more));
                    let fits = of_key(key).iter().all(|meter| model.left(*meter) >= more);
                    prop_assert_eq!(answer.is_ok(), fits);
                    if fits {
                        model.holds[hold].1 = held + more;
                    }
                    put(&mut meters, key, &mine);
                }
                Step::Settle { hold, cost: paid } => {
                    let Some((key, held, State::Held)) = model.holds.get(hold).copied() else { continue };
                    model.holds[hold].2 = State::Settled(paid);
                    let mut mine = picked(&meters, key);
                    for meter in &mut mine {
                        meter.book(Delta::settle(cost(held), cost(paid))).unwrap();
                    }
                    put(&mut meters, key, &mine);
                }
                Step::Release { hold } => {
                    let Some((key, held, State::Held)) = model.holds.get(hold).copied() else { continue };
                    model.holds[hold].2 = State::Released;
                    let mut mine = picked(&meters, key);
                    for meter in &mut mine {
                        meter.book(Delta::release(amount(held))).unwrap();
                    }
                    put(&mut meters, key, &mine);
                }
                Step::Expire { hold } => {
                    let Some((key, held, State::Held)) = model.holds.get(hold).copied() else { continue };
                    model.holds[hold].2 = State::Gone;
                    let mut mine = picked(&meters, key);
                    for meter in &mut mine {
                        meter.book(Delta::expire(amount(held))).unwrap();
                    }
                    put(&mut meters, key, &mine);
                }
                Step::Late { hold, cost: paid } => {
                    let Some((key, held, state)) = model.holds.get(hold).copied() else { continue };
                    let stands = match state {
                        State::Gone => held,
                        State::WrittenOff => 0,
                        _ => continue,
                    };
                    model.holds[hold].2 = State::SettledLate(paid);
                    let mut mine = picked(&meters, key);
                    for meter in &mut mine {
                        meter.book(Delta::settle_late(cost(stands), cost(paid))).unwrap();
                    }
                    put(&mut meters, key, &mine);
                }
                Step::WriteOff { hold } => {
                    let Some((key, held, State::Gone)) = model.holds.get(hold).copied() else { continue };
                    model.holds[hold].2 = State::WrittenOff;
                    let mut mine = picked(&meters, key);
                    for meter in &mut mine {
                        meter.book(Delta::write_off(amount(held))).unwrap();
                    }
                    put(&mut meters, key, &mine);
                }
                Step::SetLimit { meter, limit } => {
                    model.limits[meter] = limit;
                    meters[meter].set_limit(credits(limit)).unwrap();
                }
            }
            for (at, meter) in meters.iter().enumerate() {
                prop_assert!(meter.holds(), "{:?}", meter);
                prop_assert_eq!(meter.settled, credits(model.settled(at)));
                prop_assert_eq!(meter.held, credits(model.held(at)));
                prop_assert_eq!(meter.unaccounted, credits(model.unaccounted(at)));
                prop_assert_eq!(meter.left(), credits(model.left(at)));
            }
        }
    }

    /// A moment lies in its own period, periods do not overlap, and none is left out between them
    #[test]
    fn periods_follow_each_other_without_a_gap(second in -60_000_000_000_i64..60_000_000_000) {
        let at = Timestamp::from_second(second).unwrap();
        for period in [Period::Day, Period::Week, Period::Month, Period::Total] {
            let window = period.window(at);
            prop_assert!(window.contains(at), "{:?} {:?}", period, window);
            if let (Some(start), Some(end)) = (window.starts_at, window.ends_at) {
                prop_assert_eq!(period.window(start), window);
                prop_assert_eq!(period.window(end).starts_at, Some(end));
                prop_assert!(!window.contains(end));
                let before = start - jiff::SignedDuration::from_nanos(1);
                prop_assert_eq!(period.window(before).ends_at, Some(start));
            }
        }
    }
}

#[test]
fn a_day_tells_its_week_and_its_month() {
    let day = |text: &str| Day::of(format!("{text}T12:00:00Z").parse().unwrap());
    let leap = day("2024-02-29");
    assert_eq!(Period::Day.days(leap), (leap, day("2024-03-01")));
    assert_eq!(Period::Week.days(leap), (day("2024-02-26"), day("2024-03-04")));
    assert_eq!(Period::Month.days(leap), (day("2024-02-01"), day("2024-03-01")));
    assert_eq!(Period::Total.days(leap), (Day::FIRST, Day::LAST));
    let before_1970 = day("1969-12-31");
    assert_eq!(
        (before_1970.number(), Period::Day.days(before_1970)),
        (-1, (before_1970, before_1970.next()))
    );
    for edge in [Timestamp::MIN, Timestamp::MAX].map(Day::of) {
        for period in Period::ALL {
            let (first, behind) = period.days(edge);
            assert!(first <= edge && edge < behind, "{period:?} {edge:?}");
            assert_eq!(Period::of_name(period.name()), Some(period));
        }
    }
}

#[test]
fn a_period_is_one_of_the_utc_calendar() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let window = |start: &str, end: &str| Window { starts_at: Some(at(start)), ends_at: Some(at(end)) };
    // A leap day, a Thursday.
    let leap = at("2024-02-29T23:59:59.999999999Z");
    assert_eq!(Period::Day.window(leap), window("2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"));
    assert_eq!(Period::Week.window(leap), window("2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z"));
    assert_eq!(Period::Month.window(leap), window("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"));
    // Where many clocks are set forward, a day has 24 hours all the same.
    let spring = at("2026-03-29T12:00:00Z");
    assert_eq!(Period::Day.window(spring), window("2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"));
    // At the ends of time nothing fails.
    for edge in [Timestamp::MIN, Timestamp::MAX] {
        for period in [Period::Day, Period::Week, Period::Month, Period::Total] {
            assert!(period.window(edge).contains(edge), "{period:?} {edge}");
        }
    }
}

#[test]
fn sums_at_the_limits_of_integers_are_errors_and_change_nothing() {
    let full = Meter { limit: credits(i64::MAX), settled: credits(i64::MAX - 5), ..Meter::default() };
    let mut meters = [full];
    assert!(reserve(&mut meters, amount(6)).is_err());
    assert_eq!(meters, [full]);
    reserve(&mut meters, amount(5)).unwrap();
    let before = meters[0];
    assert!(matches!(meters[0].book(Delta::settle(cost(5), cost(6))), Err(Broken::Overflow(_))));
    assert_eq!(meters[0], before);
    meters[0].book(Delta::settle(cost(5), cost(5))).unwrap();
    assert!(meters[0].holds());
}

#[test]
fn nothing_is_given_back_that_was_not_held() {
    let mut meter = Meter::new(credits(10));
    assert_eq!(meter.book(Delta::release(amount(1))), Err(Broken::NotHeld));
    assert_eq!(meter.book(Delta::settle(cost(1), cost(1))), Err(Broken::NotHeld));
    assert_eq!(meter.book(Delta::expire(amount(1))), Err(Broken::NotHeld));
    assert_eq!(meter.book(Delta::write_off(amount(1))), Err(Broken::NotHeld));
    assert_eq!(meter.book(Delta::settle_late(cost(1), cost(1))), Err(Broken::NotHeld));
    assert_eq!(meter, Meter::new(credits(10)));
}

#[test]
fn a_reservation_on_several_meters_is_all_or_nothing_and_names_the_short_one() {
    let mut meters = [Meter::new(credits(10)), Meter::new(credits(3)), Meter::new(credits(10))];
    let short = reserve(&mut meters, amount(4)).unwrap_err();
    assert_eq!((short.at, short.left), (1, credits(3)));
    assert!(meters.iter().all(|meter| meter.held == Credits::ZERO));
    let mut left: BTreeMap<usize, i64> = BTreeMap::new();
    reserve(&mut meters, amount(3)).unwrap();
    for (at, meter) in meters.iter().enumerate() {
        left.insert(at, meter.left().millionths());
    }
    assert_eq!(left, BTreeMap::from([(0, 7), (1, 0), (2, 7)]));
}

#[test]
fn an_overrun_is_on_the_record_and_stops_new_reservations() {
    let mut meter = Meter::new(credits(10));
    let mut one = [meter];
    reserve(&mut one, amount(10)).unwrap();
    one[0].book(Delta::settle(cost(10), cost(25))).unwrap();
    meter = one[0];
    assert_eq!((meter.overrun, meter.left()), (credits(15), credits(-15)));
    assert!(reserve(&mut one, amount(1)).is_err());
    // A raised limit takes up again from what was really used.
    one[0].set_limit(credits(30)).unwrap();
    assert!(reserve(&mut one, amount(5)).is_ok() && reserve(&mut one, amount(1)).is_err());
    // A lowered one puts what is beyond it on the record.
    one[0].set_limit(credits(4)).unwrap();
    assert!(one[0].holds() && one[0].overrun == credits(26), "{:?}", one[0]);
}
