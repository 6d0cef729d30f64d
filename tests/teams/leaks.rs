//! What is logged, told, printed and recorded of a whole story holds none of its secrets.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use portcullis::access::Role;
use portcullis::audit::ChainId;
use portcullis::dashboard::{Exposure, NewInvitation, Offboarding};
use portcullis::ports::TracingEvents;
use portcullis::secret::{CancelRecoveryToken, ExposeSecret, InvitationToken, RecoveryEmailToken};
use portcullis::store::record::RecoveryKind;

use crate::stage::{Team, generous};
use crate::world::{PASSWORD, World, email, on_every_store, password, source};

type Captured = Arc<Mutex<Vec<u8>>>;

#[derive(Clone)]
struct Capture(Captured);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the whole process traces from now on, other tests included.
fn tracing_at_trace() -> Captured {
    static CAPTURED: OnceLock<Captured> = OnceLock::new();
    let captured = CAPTURED.get_or_init(|| {
        let captured = Captured::default();
        let capture = Capture(Arc::clone(&captured));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .without_time()
            .with_ansi(false)
            .with_writer(move || capture.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        captured
    });
    Arc::clone(captured)
}

on_every_store! {
    /// ASVS-5.0-16.2.5, ATK-LEAK-01: invitations, keys that are handed over, recoveries and a deletion, at TRACE: every
    /// secret of it is searched for in what was traced, told, printed and recorded
    async fn no_secret_of_a_team_is_logged_told_printed_or_recorded(world: World) {
        let traced = tracing_at_trace();
        let team = Team::of(world).await;
        let choices = |builder: portcullis::dashboard::DashboardBuilder| {
            builder.throttles(generous()).events(Arc::new(TracingEvents))
        };
        let team = Team { world: team.world.with(choices), ..team };
        let (world, door) = (&team.world, team.door());
        let mut secrets = vec![PASSWORD.to_owned()];
        let mut printed = String::new();
        let mut see = |value: &dyn std::fmt::Debug| printed.push_str(&format!("{value:?}\n{value:#?}\n"));

        // Invitations: sent, sent again, looked at, accepted both ways, refused.
        let guest = world.person("guest@example.com").await;
        secrets.push(guest.signed_in.token().expose_secret().to_owned());
        let late = email("late@example.com");
        let mut links = Vec::new();
        for address in [&guest.email, &late] {
            let new = NewInvitation { email: address.clone(), role: Role::Developer, projects: BTreeMap::new() };
            let view = door.invite(&team.at, &new).await.unwrap();
            links.push(world.mailed_token(address).await);
            see(&view);
            see(&door.invite(&team.at, &new).await);
            see(&door.resend_invitation(&team.at, view.id).await);
            links.push(world.mailed_token(address).await);
        }
        see(&door.invitations(&team.at).await);
        let tokens: Vec<_> = links.iter().map(|link| InvitationToken::parse(link).unwrap()).collect();
        for token in &tokens {
            see(token);
            see(&door.invitation(token, &source()).await);
            see(&door.accept_invitation(&guest.session, token).await);
        }
        for token in &tokens {
            let answer = door.sign_up_with_invitation(token, password(PASSWORD), &source()).await;
            see(&answer);
            if let Ok(signed_in) = answer {
                secrets.push(signed_in.token().expose_secret().to_owned());
            }
        }
        secrets.extend(links);

        // Keys that are handed over: the texts of both secrets.
        let member = door.enter(&guest.session, team.workspace).await.unwrap();
        let key = team.service_key(&member).await;
        see(&key);
        secrets.push(key.text.expose_secret().to_owned());
        see(&door.preview_offboarding(&team.at, member.account()).await);
        let plan = Offboarding {
            successor: Some(team.boss.account),
            default: Exposure::RotateNow,
            exposed: BTreeMap::new(),
        };
        let done = door.offboard(&team.at, member.account(), &plan).await.unwrap();
        see(&done);
        assert_eq!(done.rotated.len(), 1);
        secrets.push(done.rotated[0].text.expose_secret().to_owned());

        // Recoveries: both links.
        let operator = world.operator();
        let kind = RecoveryKind::Email(email("next@example.com"));
        see(&operator.open_recovery(guest.session.account(), &kind, "called").await);
        let (cancel, confirm) = (world.mailed_token(&guest.email).await, world.mailed_token(&email("next@example.com")).await);
        let (one, other) = (CancelRecoveryToken::parse(&cancel).unwrap(), RecoveryEmailToken::parse(&confirm).unwrap());
        see(&(&one, &other));
        see(&door.confirm_recovery_email(&other, &source()).await);
        see(&door.recovery(&guest.session).await);
        see(&door.cancel_recovery(&one, &source()).await);
        secrets.extend([cancel, confirm]);
        world.pass(Duration::from_secs(1));
        see(&door.delete_account(&guest.session, &BTreeMap::new()).await);
        world.send_all().await;
        while door.seal_audit().await.unwrap().more {}

        let mut recorded = String::new();
        for chain in [ChainId::Accounts, ChainId::Workspace(team.workspace)] {
            recorded += &operator.export_audit(chain, 0, 1_000).await.unwrap().lines;
        }
        let traced = String::from_utf8_lossy(&traced.lock().unwrap()).into_owned();
        assert!(traced.contains("invitation_accepted") && traced.contains("recovery_changed"), "it hears of events");
        assert!(recorded.contains("member.joined") && printed.contains("InvitationView"));
        assert!(secrets.len() >= 11, "{}", secrets.len());
        for (number, secret) in secrets.iter().enumerate() {
            // The part behind the label and the id is what opens something.
            let tail = &secret[secret.len() / 2..];
            for (place, text) in [("traced", &traced), ("printed", &printed), ("recorded", &recorded)] {
                assert!(!text.contains(tail), "secret {number} was {place}");
            }
        }
    }
}
