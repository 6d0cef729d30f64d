//! The steps from a new account to a first request.

use portcullis::dashboard::{OnboardingStep, SessionError};
use portcullis::spend::Spender;
use portcullis::store::UsageSink;
use portcullis::store::record::UsageDelta;

use crate::world::{World, on_every_store};

on_every_store! {
    /// M6
    async fn steps_stand_in_order_and_each_is_done_when_it_is_done(world: World) {
        use OnboardingStep::{FirstKey, FirstRequest, SecondFactor, VerifyEmail, Workspace};
        let order = [VerifyEmail, SecondFactor, Workspace, FirstKey, FirstRequest];
        let mut ann = world.person("ann@example.com").await;
        let seen = world.dashboard.onboarding(&ann.session).await.unwrap();
        assert_eq!(seen.steps.iter().map(|(step, _)| *step).collect::<Vec<_>>(), order);
        assert_eq!(seen.steps.iter().map(|(_, done)| *done).collect::<Vec<_>>(), [true, false, true, false, false]);
        assert_eq!(seen.next, Some(SecondFactor));

        world.enrol(&mut ann).await;
        assert_eq!(world.dashboard.onboarding(&ann.session).await.unwrap().next, Some(FirstKey));

        let home = world.at_home(&ann).await;
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &["models.read"]).await).await.unwrap();
        assert_eq!(world.dashboard.onboarding(&ann.session).await.unwrap().next, Some(FirstRequest));

        let used = UsageDelta::requests(Spender::Key(issued.key.id), issued.key.project, "models.read".parse().unwrap(), (1, 0), crate::world::start());
        world.store.add_usage(&[used]).await.unwrap();
        let seen = world.dashboard.onboarding(&ann.session).await.unwrap();
        assert!(seen.next.is_none() && seen.steps.iter().all(|(_, done)| *done));

        // A step undone is next again.
        world.dashboard.disable_totp(&ann.session).await.unwrap();
        assert_eq!(world.dashboard.onboarding(&ann.session).await.unwrap().next, Some(SecondFactor));
    }

    /// M6: one person's steps are not another's
    async fn steps_are_the_accounts_own_and_end_with_its_session(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let _ = world.dashboard.issue_key(&home, &world.new_key(&home, &[]).await).await.unwrap();
        let bob = world.person("bob@example.com").await;
        let seen = world.dashboard.onboarding(&bob.session).await.unwrap();
        assert!(seen.steps.contains(&(OnboardingStep::FirstKey, false)));

        world.dashboard.sign_out(&ann.session).await.unwrap();
        let refused = world.dashboard.onboarding(&ann.session).await;
        assert!(matches!(refused, Err(SessionError::NotSignedIn)));
    }
}
