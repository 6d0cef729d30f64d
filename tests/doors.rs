//! The doors are kept apart by the types (B1): each file under `compile_fail` must not compile, with exactly the
//! message beside it. Messages are the compiler's, so the toolchain is pinned in `rust-toolchain.toml`.
//!
//! After a change of toolchain, write the messages anew with `TRYBUILD=overwrite cargo test --test doors` and read
//! each of them.

/// B1, M1, M2, ATK-LEAK-01
#[test]
fn what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
