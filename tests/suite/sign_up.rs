//! Signing up.

use portcullis::dashboard::{OnboardingStep, SignIn};

use crate::world::{PASSWORD, World, email, on_every_store, password, source};

on_every_store! {
    /// M4, M5 (the workspace), M6
    async fn a_verified_sign_up_is_an_account_with_a_workspace_and_a_project(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        assert_eq!(world.dashboard.projects(&home).await.unwrap().len(), 1);
        let onboarding = world.dashboard.onboarding(&ann.session).await.unwrap();
        assert_eq!(onboarding.next, Some(OnboardingStep::SecondFactor));
    }

    /// M4
    async fn nothing_works_before_the_address_is_verified(world: World) {
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        let answer = world.dashboard.sign_in(&ann, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::VerifyEmailFirst));
    }
}
