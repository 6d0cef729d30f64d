//! What the crate needs of the world outside, as traits: a clock, randomness, a mailer, a source of breached
//! passwords, and somewhere to send security events.

mod breached;
pub(crate) mod clock;
mod entropy;
mod events;
mod mail;
mod starter;

pub use breached::{BreachedPasswords, BreachedUnavailable, NoBreachedPasswords};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::{Entropy, EntropyExt, EntropyFailed, SystemEntropy};
pub use events::{EVENT_FORMAT, EventKind, Outcome, SecurityEvent, SecurityEvents, TracingEvents};
pub use mail::{Mail, Mailer, MailerError, Message, RecoveryOf};
pub use starter::StarterCredit;
