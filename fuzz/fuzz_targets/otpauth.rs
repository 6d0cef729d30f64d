//! What people type or paste for their second factor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::recovery::{CODE_LENGTH, LOCATOR_LENGTH, TypedRecoveryCode};
use portcullis::totp::{
    MAX_PERIOD_SECONDS, MAX_SECRET_BYTES, MIN_SECRET_BYTES, Provisioning, TotpCode, TotpError, parse_otpauth,
};
use secrecy::ExposeSecret as _;

fuzz_target!(|text: &str| {
    if let Ok(parsed) = parse_otpauth(text) {
        let length = parsed.secret.expose_bytes().len();
        assert!((MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&length));
        assert_eq!(parsed.digits, 6);
        assert!((1..=MAX_PERIOD_SECONDS).contains(&parsed.period_seconds));
        assert!(!format!("{parsed:?}").contains(&format!("{:?}", parsed.secret.expose_bytes())));

        // What was read and can be written is read the same.
        if let Some(issuer) = &parsed.issuer
            && let Ok(written) = Provisioning::new(issuer, &parsed.account, &parsed.secret)
        {
            match parse_otpauth(written.otpauth_url().expose_secret()) {
                Ok(again) => {
                    assert_eq!(again.issuer, parsed.issuer);
                    assert_eq!(again.account, parsed.account);
                    assert_eq!(again.secret.expose_bytes(), parsed.secret.expose_bytes());
                    assert_eq!(again.secret.algorithm(), parsed.secret.algorithm());
                }
                // It writes the issuer twice, and percent-encoded.
                Err(error) => assert_eq!(error, TotpError::TooLong),
            }
        }
    }

    if TotpCode::parse(text).is_ok() {
        assert_eq!(text.bytes().filter(u8::is_ascii_digit).count(), 6);
        assert!(text.bytes().all(|c| c.is_ascii_digit() || c == b' '));
    }

    if let Ok(code) = TypedRecoveryCode::parse(text) {
        let secret = code.secret();
        let canonical = secret.expose_secret();
        assert_eq!(canonical.len(), CODE_LENGTH);
        assert_eq!(code.locator().as_str(), &canonical[..LOCATOR_LENGTH]);
        let again = TypedRecoveryCode::parse(canonical).unwrap();
        assert_eq!(again.secret().expose_secret(), canonical, "the canonical form reads as itself");
    }
});
