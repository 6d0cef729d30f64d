//! ATK-LEAK-01: a secret is not printed by accident.
use portcullis::key::KeyText;
use portcullis::secret::{SecretString, SessionToken, TokenDigest};

fn print(token: &SessionToken, digest: &TokenDigest, password: &SecretString, key: &KeyText) {
    println!("{token}");
    println!("{digest}");
    println!("{password}");
    println!("{key}");
}

fn main() {}
