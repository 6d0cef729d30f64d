//! Secret types are wiped when dropped, are not copied by accident, and show nothing in `Debug`.

use std::fmt::Debug;

use portcullis::dashboard::{Proof, SecondFactor};
use portcullis::key::{KeyDigest, KeyFormat, KeyText, SecretId};
use portcullis::password::{HashBuffer, HashParams, HashScheme, Pepper, Peppers};
use portcullis::ports::Message;
use portcullis::recovery::{RecoveryCode, RecoveryCodes, TypedRecoveryCode};
use portcullis::secret::{
    ChangeEmailToken, ExposeSecret as _, ResetToken, SealContext, SealingKey, SealingKeys, SecretString,
    SessionToken, SignInToken, VerifyEmailToken,
};
use portcullis::totp::{Provisioning, TotpCode, TotpSecret};
use zeroize::ZeroizeOnDrop;

use crate::text::{fields, file};

/// Does not compile for a type that implements the trait: two implementations would fit.
macro_rules! lacks {
    ($trait:path: $($type:ty),* $(,)?) => {
        const _: () = {
            trait Ambiguous<A> { fn some() {} }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<u8> for T {}
            $(let _ = <$type as Ambiguous<_>>::some;)*
        };
    };
}

lacks!(Copy: SecretString, SessionToken, SignInToken, VerifyEmailToken, ResetToken, ChangeEmailToken, TotpSecret,
    TotpCode, RecoveryCode, RecoveryCodes, TypedRecoveryCode, KeyText, Pepper, Peppers, SealingKey, SealingKeys,
    Provisioning, HashBuffer, Proof, Message);
lacks!(Clone: SessionToken, SignInToken, VerifyEmailToken, ResetToken, ChangeEmailToken, RecoveryCode, RecoveryCodes,
    KeyText, Pepper, Peppers, SealingKey, SealingKeys, Provisioning, HashBuffer, Proof);
lacks!(std::fmt::Display: SecretString, SessionToken, TotpSecret, TotpCode, RecoveryCode, RecoveryCodes,
    TypedRecoveryCode, KeyText, Pepper, SealingKey, Provisioning, Proof, Message);

/// Where a secret lies, and those of its fields that are none.
const SECRETS: &[(&str, &str, &[&str])] = &[
    ("src/secret/token.rs", "Token", &["purpose"]),
    ("src/totp/secret.rs", "TotpSecret", &["algorithm"]),
    ("src/totp/code.rs", "TotpCode", &[]),
    ("src/totp/provisioning.rs", "Provisioning", &[]),
    ("src/recovery/alphabet.rs", "Canonical", &[]),
    ("src/recovery/codes.rs", "RecoveryCode", &["locator"]),
    ("src/recovery/codes.rs", "RecoveryCodes", &[]),
    ("src/recovery/typed.rs", "TypedRecoveryCode", &[]),
    ("src/key/text.rs", "KeyText", &["digest", "hint"]),
    ("src/password/pepper.rs", "Pepper", &["id"]),
    ("src/password/pepper.rs", "Peppers", &[]),
    ("src/dashboard/step_up.rs", "Proof", &[]),
    ("src/dashboard/signed_in.rs", "SignedIn", &["session"]),
    ("src/dashboard/sign_in.rs", "PendingSignIn", &["expires_at", "recovery_codes"]),
    ("src/dashboard/keys.rs", "IssuedKey", &["key", "committed"]),
];

/// What wipes itself, or is made of what does.
const WIPED: &[&str] = &[
    "SecretString",
    "Zeroizing<Vec<u8>>",
    "Zeroizing<[u8;32]>",
    "Canonical",
    "[RecoveryCode;CODES]",
    "Pepper",
    "Vec<Pepper>",
    "SessionToken",
    "SignInToken",
    "KeyText",
    "Option<SecondFactor>",
];

/// ATK-LEAK-02, ASVS-5.0-11.7.2: every field that holds a secret is of a type that wipes itself; what is only wiped by
/// hand, or not at all, is listed in `docs/security.md`
#[test]
fn secrets_are_wiped_when_dropped() {
    fn wipes<T: ZeroizeOnDrop>() -> bool {
        std::mem::needs_drop::<T>()
    }
    assert!(wipes::<TotpCode>() && wipes::<SecretString>());
    assert!(wipes::<zeroize::Zeroizing<[u8; 32]>>() && wipes::<zeroize::Zeroizing<Vec<u8>>>());
    for (path, name, plain) in SECRETS {
        let text = file(path);
        let at = text.find(&format!("struct {name}")).unwrap_or_else(|| panic!("{path} has no {name}"));
        let wipes_itself = text[..at].rsplit("\n\n").next().unwrap().contains("ZeroizeOnDrop");
        for (field, kind, _) in fields(path, name) {
            let wiped = wipes_itself || WIPED.contains(&kind.as_str()) || plain.contains(&field.as_str());
            assert!(wiped, "{path}: {name}.{field} is a {kind}, which nobody wipes");
        }
    }
    // What a second factor is made of.
    assert!(std::mem::needs_drop::<SecondFactor>());
    let of = file("src/dashboard/sign_in.rs");
    assert!(of.contains("Totp(TotpCode)") && of.contains("Recovery(TypedRecoveryCode)"));
    // The memory of Argon2 is wiped after each hash, and when it is dropped in the middle of one.
    let buffer = file("src/password/buffer.rs");
    assert!(buffer.contains("impl Drop for HashBuffer") && std::mem::needs_drop::<HashBuffer>());
    assert!(buffer.contains("blocks.iter_mut().for_each(Zeroize::zeroize)"));
}

/// ASVS-5.0-13.3.2: the fields of secrets are private to the module that owns them; only their methods read them
#[test]
fn no_field_of_a_secret_is_public() {
    let owners = [("src/secret/seal.rs", "SealingKey"), ("src/secret/seal.rs", "SealingKeys")];
    // Taken apart by whoever is handed them: their own fields are secrets that are not.
    let envelopes = ["Proof", "IssuedKey"];
    let all = SECRETS.iter().map(|(path, name, _)| (*path, *name)).chain(owners);
    for (path, name) in all.filter(|(_, name)| !envelopes.contains(name) && *name != "Canonical") {
        let parsed = syn::parse_file(&file(path)).unwrap();
        let found = parsed.items.iter().find_map(|item| match item {
            syn::Item::Struct(item) if item.ident == name => Some(item),
            _ => None,
        });
        for field in &found.unwrap().fields {
            assert!(
                matches!(field.vis, syn::Visibility::Inherited),
                "{path}: a field of {name} is not private"
            );
        }
    }
}

/// ATK-LEAK-02, ASVS-5.0-11.7.2: `Debug` of each secret shows none of it
#[test]
fn debug_of_a_secret_shows_none_of_it() {
    const CANARY: &str = "CANARYCANARYCANARYCANARY";
    let mut shown: Vec<(String, String)> = Vec::new();
    let mut show = |secret: &str, value: &dyn Debug| {
        shown.push((secret.to_owned(), format!("{value:?} {value:#?}")));
    };
    show(CANARY, &SecretString::from(CANARY));
    let session = SessionToken::from_random([0xA5; 32]);
    show(&session.expose_secret()[4..], &session);
    show(&session.expose_secret()[4..], &session.digest());
    let reset = ResetToken::from_random([0xA5; 32]);
    show(&reset.expose_secret()[4..], &reset);
    let totp = TotpSecret::from_bytes(CANARY.as_bytes()).unwrap();
    show(CANARY, &totp);
    show("INAU4QKSLE", &totp);
    let provisioning = Provisioning::new("Acme", "ann@example.com", &totp).unwrap();
    show(&provisioning.manual_entry().expose_secret()[..9], &provisioning);
    show("INAU4QKSLE", &provisioning);
    show("739184", &TotpCode::parse("739184").unwrap());
    let codes = RecoveryCodes::from_random(&[[9; 16]; 10]);
    let code = codes.iter().next().unwrap();
    show(&code.secret().expose_secret()[2..], &codes);
    show(&code.secret().expose_secret()[2..], code);
    let typed = TypedRecoveryCode::parse(code.secret().expose_secret()).unwrap();
    show(&code.secret().expose_secret()[2..], &typed);
    let factor = Proof { password: CANARY.into(), second_factor: Some(SecondFactor::Recovery(typed)) };
    show(&code.secret().expose_secret()[2..], &factor);
    show(CANARY, &factor);
    let keys = [(Pepper::new(1, *b"CANARYCANARYCANARYCANARYCANARYCA"), "67, 65, 78")];
    for (pepper, bytes) in keys {
        show(bytes, &pepper);
        show("CANARY", &Peppers::new(pepper));
    }
    let sealing = SealingKey::new(1, *b"CANARYCANARYCANARYCANARYCANARYCA").unwrap();
    show("67, 65, 78", &sealing);
    let sealing = SealingKeys::new(sealing);
    show("67, 65, 78", &sealing);
    let row = uuid::Uuid::nil();
    let sealed =
        sealing.seal(SealContext { kind: "test", row, owner: row }, CANARY.as_bytes(), [0; 12]).unwrap();
    show(CANARY, &sealed);
    let hash = HashScheme::new(HashParams::default());
    let hash = hash.hash(&CANARY.into(), [1; 16], &mut HashBuffer::new()).unwrap();
    show("argon2id", &hash);
    show("165", &KeyDigest::from_bytes([0xA5; 32]));
    let format = KeyFormat::new("acme", &["live"]).unwrap();
    let id = SecretId::from_random([7; 8]);
    let key = format.mint(&format.environments()[0], id, [0xA5; 32]).unwrap();
    let hint = key.hint().to_string();
    show(&key.expose_secret()[hint.trim_end_matches('…').len()..], &key);
    show(CANARY, &Message::ResetPassword { link: CANARY.into(), expires_at: jiff::Timestamp::UNIX_EPOCH });
    for (secret, text) in shown {
        assert!(secret.len() >= 3 && !text.contains(&secret), "{secret} stands in {text}");
    }
}
