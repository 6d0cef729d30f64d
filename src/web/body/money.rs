//! Bodies about money.

use serde::Deserialize;

use super::strict::given;
use crate::spend::Period;
use crate::store::record::LimitMode;

/// A spending limit as it is to be. There is one for each spender and period: setting it again changes its amount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLimit {
    /// Whose: `key:` or `member:` and the id. Left out, of all the project's spending.
    #[serde(default, deserialize_with = "given")]
    pub spender: Option<String>,
    /// How long it counts before it begins anew: `day`, `week`, `month` (UTC) or `total`.
    pub period: Period,
    /// How many credits may be spent in each period: a decimal text such as `12.5`. A number is refused, because not
    /// every writer of JSON keeps numbers as they are.
    pub amount: String,
    /// Whether nodes may lease parts of it: `leased`, which it is when left out, or `exact`.
    #[serde(default)]
    pub mode: LimitMode,
}

#[cfg(test)]
mod tests {
    use super::super::parse_body;
    use super::*;

    /// ATK-SPEND-02 (the reading), ASVS-5.0-15.3.5
    #[test]
    fn a_limit_is_read_strictly() {
        let read = |text: &str| parse_body::<SetLimit>(text.as_bytes());
        let limit = read(r#"{"period":"month","amount":"12.5"}"#).unwrap();
        assert_eq!((limit.spender, limit.mode), (None, LimitMode::Leased));
        assert!(read(r#"{"spender":"key:x","period":"total","amount":"-1","mode":"exact"}"#).is_ok());
        for bad in [
            "{}",
            r#"{"period":"month"}"#,
            r#"{"amount":"1"}"#,
            r#"{"period":"month","amount":1}"#,
            r#"{"period":"month","amount":1.5}"#,
            r#"{"period":"month","amount":null}"#,
            r#"{"period":"year","amount":"1"}"#,
            r#"{"period":"Month","amount":"1"}"#,
            r#"{"period":{"month":null},"amount":"1","amount":"2"}"#,
            r#"{"period":"month","amount":"1","mode":"loose"}"#,
            r#"{"period":"month","amount":"1","mode":null}"#,
            r#"{"period":"month","amount":"1","spender":null}"#,
            r#"{"period":"month","amount":"1","project":"x"}"#,
            r#"{"period":"month","amount":"1","settled":"0"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
