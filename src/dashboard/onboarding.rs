//! The steps from a new account to a first request, with the next one named.

use serde::Serialize;

use super::Dashboard;
use super::error::SessionError;
use super::sessions::Session;

/// One step, in the order in which they are suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnboardingStep {
    /// Verify the address. Done for every account.
    VerifyEmail,
    /// Turn a second factor on.
    SecondFactor,
    /// Be a member of a workspace.
    Workspace,
    /// Issue a key.
    FirstKey,
    /// Make a request with a key.
    FirstRequest,
}

/// Which steps are done, and which is next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Onboarding {
    /// All steps in order, each with whether it is done.
    pub steps: Vec<(OnboardingStep, bool)>,
    /// The first that is not done.
    pub next: Option<OnboardingStep>,
}

impl Dashboard {
    /// How far the account is set up.
    ///
    /// # Errors
    /// [`SessionError::NotSignedIn`].
    pub async fn onboarding(&self, session: &Session) -> Result<Onboarding, SessionError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        let second_factor = snapshot.totp(session.account).await?.is_some();
        let workspace = !snapshot.workspaces_of(session.account).await?.is_empty();
        let (key, request) = snapshot.first_steps(session.account).await?;
        let steps = vec![
            (OnboardingStep::VerifyEmail, true),
            (OnboardingStep::SecondFactor, second_factor),
            (OnboardingStep::Workspace, workspace),
            (OnboardingStep::FirstKey, key),
            (OnboardingStep::FirstRequest, request),
        ];
        let next = steps.iter().find(|(_, done)| !done).map(|(step, _)| *step);
        Ok(Onboarding { steps, next })
    }
}
