//! Who starts with credit.

use async_trait::async_trait;

use crate::email::EmailAddress;
use crate::money::Amount;

/// Decides what a new account starts with: the service has the last word. It is asked once an address is proven, before
/// the account is made; a mailbox that has had starter credit before gets none whatever is answered.
#[async_trait]
pub trait StarterCredit: Send + Sync + 'static {
    /// How much an account with this address starts with; `None` is nothing.
    async fn decide(&self, email: &EmailAddress) -> Option<Amount>;
}

/// The same for everybody.
#[async_trait]
impl StarterCredit for Amount {
    async fn decide(&self, _email: &EmailAddress) -> Option<Amount> {
        Some(*self)
    }
}
