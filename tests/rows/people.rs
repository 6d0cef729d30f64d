//! Steps of a person that several tests take.

use std::time::Duration;

use portcullis::dashboard::{Proof, SecondFactor, SignIn, SignedIn};
use portcullis::recovery::RecoveryCodes;
use portcullis::secret::ExposeSecret as _;
use portcullis::totp::{Step, TotpCode, TotpSecret, parse_otpauth};

use crate::world::{PASSWORD, Person, World, password, source};

/// A person's phone.
pub struct Phone {
    pub secret: TotpSecret,
}

impl Phone {
    /// The code of this moment.
    pub fn code(&self, world: &World) -> TotpCode {
        use portcullis::ports::Clock as _;
        let Step(step) = Step::of(world.clock.now());
        let token = totp_rs::Builder::new()
            .with_step_duration(1)
            .with_secret(self.secret.expose_bytes())
            .build_noncompliant()
            .generate(step);
        TotpCode::parse(&token.to_string()).unwrap()
    }

    /// The code of a minute later.
    pub fn next(&self, world: &World) -> SecondFactor {
        world.pass(Duration::from_mins(1));
        SecondFactor::Totp(self.code(world))
    }
}

/// Turns TOTP on; the person goes on under the session's new token.
pub async fn enrol(world: &World, person: &mut Person) -> (Phone, RecoveryCodes) {
    let setup = world.dashboard.begin_totp(&person.session).await.unwrap();
    let url = setup.provisioning().otpauth_url();
    let phone = Phone { secret: parse_otpauth(url.expose_secret()).unwrap().secret };
    let confirmed = world.dashboard.confirm_totp(&person.session, &phone.code(world)).await.unwrap();
    *person = world.signed_in(person.email.clone(), confirmed.signed_in).await;
    (phone, confirmed.codes)
}

/// Signs in with a password and a phone, at any node.
pub async fn sign_in(
    world: &World,
    node: &portcullis::dashboard::Dashboard,
    person: &Person,
    phone: &Phone,
) -> SignedIn {
    let factor = phone.next(world);
    let pending = match node.sign_in(&person.email, password(PASSWORD), &source()).await.unwrap() {
        SignIn::SecondFactorNeeded(pending) => pending,
        other => panic!("no second factor was asked for: {other:?}"),
    };
    node.second_factor(pending.token(), factor, &source()).await.unwrap()
}

/// The usual password and this second factor.
pub fn proof(second_factor: Option<SecondFactor>) -> Proof {
    Proof { password: password(PASSWORD), second_factor }
}
