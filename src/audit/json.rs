//! One text for each JSON value: keys sorted by their UTF-8 bytes, no white space, integers only, and one way
//! to write each character.

use core::fmt::Write;

use serde_json::Value;

/// Why a value has no canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonFault {
    NotInteger,
    TooDeep,
}

/// Appends the canonical text. Programs disagree about the text of a number with a fraction or an exponent, so
/// such numbers are refused.
pub(super) fn write(out: &mut String, value: &Value, depth: usize) -> Result<(), JsonFault> {
    let inner = depth.checked_sub(1).ok_or(JsonFault::TooDeep);
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                push(out, number);
            } else if let Some(number) = number.as_i64() {
                push(out, number);
            } else {
                return Err(JsonFault::NotInteger);
            }
        }
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            let inner = inner?;
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, item, inner)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let inner = inner?;
            // Not left to the map: a feature of serde_json that any crate can turn on makes it keep its order.
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, member)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write(out, member, inner)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Appends a string: the quote, the backslash and the control characters below U+0020 escaped, those that have
/// a short escape by it, the others as `\u00xx` with lower-case digits; everything else as it stands.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => push(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends what never fails to be written: a `String` takes everything.
pub(super) fn push(out: &mut String, item: impl core::fmt::Display) {
    let _ = write!(out, "{item}");
}
