//! What the dashboard's routes read from request bodies: every type, from the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::web::body::{
    Address, BadBody, ChangePassword, ConfirmTotp, Credentials, FinishSignIn, IssueKey, MAX_BODY,
    MailedToken, Nothing, RotateKey, StepUp, TokenAndPassword, parse_body,
};

fuzz_target!(|bytes: &[u8]| {
    let answers = [
        parse_body::<Nothing>(bytes).map(drop),
        parse_body::<Address>(bytes).map(drop),
        parse_body::<Credentials>(bytes).map(drop),
        parse_body::<TokenAndPassword>(bytes).map(drop),
        parse_body::<MailedToken>(bytes).map(drop),
        parse_body::<FinishSignIn>(bytes).map(drop),
        parse_body::<StepUp>(bytes).map(drop),
        parse_body::<ChangePassword>(bytes).map(drop),
        parse_body::<ConfirmTotp>(bytes).map(drop),
        parse_body::<RotateKey>(bytes).map(drop),
        parse_body::<IssueKey>(bytes).map(drop),
    ];
    let object =
        bytes.trim_ascii_start().first() == Some(&b'{') && bytes.trim_ascii_end().last() == Some(&b'}');
    for answer in answers {
        match answer {
            Ok(()) => assert!(object && bytes.len() <= MAX_BODY),
            Err(BadBody::TooLong) => assert!(bytes.len() > MAX_BODY),
            // It says where, and the place is inside.
            Err(BadBody::Malformed { line, .. }) => assert!(line <= bytes.len() + 1),
            Err(other) => panic!("{other:?}"),
        }
    }
});
