//! The account system of an API platform, as a crate: people sign in to a dashboard, programs call with API keys,
//! and the two never mix.
//!
//! A service links it, hands it a store (SQLite and memory are built in), and has sign-up, sign-in, second factors,
//! recovery, sessions, workspaces, projects, scoped keys and an audit trail, with rules that hold under
//! concurrency and crashes.
//!
//! # Two doors
//!
//! [`dashboard::Dashboard`] is the people's door, [`api::ApiDoor`] the programs'. They share the data and nothing
//! else: what one hands out ([`dashboard::Session`], [`dashboard::Member`]; [`api::Caller`]) is no argument of the
//! other, [permissions](access::Permission) and [scopes](access::Scope) are two types without a conversion, and the
//! API door can be given a database connection that may do nothing but look keys up.
//!
//! ```
//! use std::sync::Arc;
//!
//! use portcullis::access::{BuiltinRole, Catalogue};
//! use portcullis::api::ApiDoor;
//! use portcullis::dashboard::{Dashboard, SignIn};
//! use portcullis::email::EmailAddress;
//! use portcullis::key::KeyFormat;
//! use portcullis::secret::{SealingKey, SealingKeys};
//! use portcullis::source::Source;
//! use portcullis::store::memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let catalogue =
//!     Arc::new(Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List models").build()?);
//! let format = Arc::new(KeyFormat::new("acme", &["live", "test"])?);
//! let seals = SealingKeys::new(SealingKey::new(1, [0; 32])?); // from your secret store, never from code
//!
//! let people =
//!     Dashboard::builder(store.clone(), "Acme", "https://console.acme.example", catalogue.clone(), format.clone(), seals)?
//!         .build()?;
//! let programs = ApiDoor::builder(store.clone(), store.clone(), catalogue, format).usage(store).build();
//!
//! let ann = EmailAddress::parse("ann@example.com")?;
//! let source = Source::from_address("192.0.2.1".parse()?);
//! people.sign_up(&ann, "correct horse, wrong battery".into(), &source).await?;
//! // The address is verified by mail before anything else works.
//! let early = people.sign_in(&ann, "correct horse, wrong battery".into(), &source).await?;
//! assert!(matches!(early, SignIn::VerifyEmailFirst));
//! # drop(programs);
//! # Ok(())
//! # }
//! ```
//!
//! The whole tour is `cargo run --example quickstart`; a service over HTTP is `cargo run --example server`.
//!
//! # The house
//!
//! A room imports only from the rooms below it; a test parses every path of every file and fails when that is
//! broken. This drawing is written by that test:
//!
//! ```text
#![doc = include_str!("../docs/floors.txt")]
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlite` (default) | [`store::sql`]: the SQLite adapter, with SQLite built in |
//! | `axum` | `web`: routers, extractors, cookies, error responses |
//! | `conformance` | `store::conformance`: the checks that any adapter of the store contract must pass |
//!
//! Features are additive and change no behaviour.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod access;
pub mod api;
pub mod audit;
pub mod budget;
pub mod dashboard;
pub mod email;
pub mod error;
pub mod hashing;
pub mod id;
pub mod key;
pub mod money;
pub mod name;
pub mod password;
pub mod ports;
pub mod recovery;
pub mod secret;
pub mod source;
pub mod spend;
pub mod store;
pub mod throttle;
pub mod totp;
pub mod usage;
#[cfg(feature = "axum")]
pub mod web;
