//! Addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::email::{EmailAddress, MAX_LENGTH};

fuzz_target!(|text: &str| {
    let Ok(address) = EmailAddress::parse(text) else { return };
    assert_eq!(address.as_written(), text);
    assert!(text.len() <= MAX_LENGTH && text.is_ascii());
    // Nothing that could end a mail header, start another, or add a recipient.
    assert!(!text.bytes().any(|c| c.is_ascii_control() || b" ,;:<>()[]\\\"".contains(&c)));
    assert_eq!(text.matches('@').count(), 1);
    assert!(address.domain().contains('.') && !address.local_part().is_empty());
    assert!(!text.starts_with('.') && !text.contains("..") && !address.domain().starts_with('-'));

    let canonical = EmailAddress::parse(address.canonical()).unwrap();
    assert_eq!(canonical, address);
    assert_eq!(canonical.canonical(), address.canonical());
    assert_eq!(EmailAddress::parse(&text.to_ascii_uppercase()).unwrap(), address);
});
