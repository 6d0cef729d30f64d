//! Every statement there is, as a constant, by the part of the contract that it serves.
//!
//! Written so that SQLite and PostgreSQL both understand them: parameters are `$1, $2, …`, numbered in the
//! order of their first appearance (SQLite numbers named parameters that way, PostgreSQL by their digits),
//! `{p}` stands for the prefix or schema that the service chose, and `{skip}` for passing over rows that others hold,
//! where a database can. Nothing else is ever put into a statement.
//!
//! What is run for many rows has one `VALUES ($1, …)`, which takes them all at once where a database can.

/// Declares statements, and lists them for the tests.
macro_rules! statements {
    ($($name:ident = $($part:expr),+;)*) => {
        $(pub(in crate::store::sql) const $name: &str = concat!($($part),+);)*

        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name),)*];
    };
}

pub(super) mod account;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod api;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod audit;
pub(super) mod key;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod ledger;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod policy;
#[cfg(feature = "postgres")]
pub(super) mod postgres;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod session;
pub(super) mod usage;
pub(super) mod workspace;

/// All of them, with their names.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [
        account::ALL,
        api::ALL,
        audit::ALL,
        key::ALL,
        ledger::ALL,
        policy::ALL,
        session::ALL,
        usage::ALL,
        workspace::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Those that PostgreSQL is asked: its own, and all that are not SQLite's alone.
#[cfg(all(test, feature = "postgres"))]
pub(super) fn all_postgres() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let of_sqlite = ["EPOCH", "HEAD_ALONE", "COUNTER_ALONE"];
    all().filter(move |(name, _)| !of_sqlite.contains(name)).chain(postgres::ALL)
}

#[cfg(test)]
mod tests {
    /// The numbers of a statement's parameters, in the order in which they stand there.
    fn parameters(sql: &str) -> Vec<usize> {
        sql.split('$')
            .skip(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap())
            .collect()
    }

    fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        #[cfg(not(feature = "postgres"))]
        const OWN: &[(&str, &str)] = &[];
        #[cfg(feature = "postgres")]
        const OWN: &[(&str, &str)] = super::postgres::ALL;
        super::all().chain(OWN)
    }

    #[test]
    fn parameters_first_appear_in_increasing_order() {
        for (name, sql) in all() {
            let mut most = 0;
            for number in parameters(sql) {
                assert!(number <= most + 1, "{name}: ${number} stands before ${}", most + 1);
                most = most.max(number);
            }
        }
    }

    /// ASVS-5.0-1.2.4: what varies is a parameter.
    #[test]
    fn no_statement_has_a_placeholder_other_than_the_prefix() {
        for (name, sql) in all() {
            let rest = sql.replace("{p}", "").replace("{skip}", "");
            assert!(!rest.contains(['{', '}', '?', ';', '"']), "{name}");
            assert!(sql.contains("{p}"), "{name} names a table without the prefix");
        }
    }
}
