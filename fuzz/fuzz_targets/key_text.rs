//! Presented keys and texts about to be logged.
#![no_main]

use std::str::FromStr as _;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis::key::{KeyFormat, SecretId};
use secrecy::ExposeSecret as _;

const PREFIX: &str = "acme";
const HEADS: [&str; 2] = ["acme_live_", "acme_test_"];

static FORMAT: LazyLock<KeyFormat> = LazyLock::new(|| KeyFormat::new(PREFIX, &["live", "test"]).unwrap());

/// How many characters of base62 stand behind a key's head.
const BODY: usize = 60;
/// How many of them name the secret and may be shown.
const ID: usize = 11;

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = FORMAT.parse(data) {
        // A head, then base62 and nothing else; of any change of one character, nothing is left.
        assert!(HEADS.iter().any(|head| data.starts_with(head.as_bytes())));
        assert!(data[data.len() - BODY..].iter().all(u8::is_ascii_alphanumeric));
        assert_eq!(data.len(), HEADS[0].len() + BODY);
        let mut altered = data.to_vec();
        let at = data.len() - BODY + usize::from(data[data.len() - 1]) % BODY;
        altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
        assert!(FORMAT.parse(&altered).is_err());
        assert_eq!(SecretId::from_str(&key.id().to_string()), Ok(key.id()));
    }

    let text = String::from_utf8_lossy(data);
    let redacted = FORMAT.redact(&text);
    assert_eq!(FORMAT.redact(&redacted), redacted, "redacting twice changes nothing");
    for head in HEADS {
        for (at, _) in redacted.match_indices(head) {
            let rest = &redacted[at + head.len()..];
            let run = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            // The end of the run may be the prefix of a next key.
            let next =
                run.checked_sub(PREFIX.len()).filter(|&n| HEADS.iter().any(|h| rest[n..].starts_with(h)));
            let shown = next.unwrap_or(run);
            assert!(shown <= ID, "{shown} characters are left");
        }
    }

    round_trip(data, &text);
});

/// A key minted of the input's bytes is read back and taken out of any text.
fn round_trip(data: &[u8], text: &str) {
    let Some((secret, rest)) = data.split_first_chunk::<32>() else { return };
    let Ok(id) = String::from_utf8_lossy(rest.get(..ID).unwrap_or_default()).parse::<SecretId>() else {
        return;
    };
    let environment = &FORMAT.environments()[usize::from(secret[0] % 2)];
    let key = FORMAT.mint(environment, id, *secret).unwrap();
    let written = key.expose_secret();
    let read = FORMAT.parse(written.as_bytes()).unwrap();
    assert_eq!(read.id(), id);
    assert!(read.digest().matches(&key.digest()));
    assert_eq!(Some(read.environment_index()), FORMAT.index_of(environment));
    let redacted = FORMAT.redact(&format!("{text} {written} {text}"));
    let secret_part = &written[written.len() - BODY + ID..];
    assert!(!redacted.contains(secret_part));
}
