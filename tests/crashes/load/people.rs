//! People who sign up, and people who are invited, make keys, and are removed again.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::access::Role;
use portcullis::dashboard::{Activity, Exposure, Member, NewInvitation, Offboarding, SignedIn};
use portcullis::secret::{InvitationToken, VerifyEmailToken};
use portcullis::source::Source;

use super::{Node, keys, pause};
use crate::first_member::PASSWORD;
use crate::house::email;
use crate::journal::{Intent, Promised};

pub async fn sign_up(node: Arc<Node>) {
    let (mut turn, nowhere) = (node.seed(0), Source::unknown());
    while !node.is_over() {
        pause(&mut turn, 20).await;
        let address = format!("{}@signs-up.example", node.name("p"));
        let intent = Intent::SignUp { email: address.clone() };
        let work = async { node.people.sign_up(&email(&address), PASSWORD.into(), &nowhere).await };
        let nothing = |(): &()| Promised::default();
        if node.journal.keep(intent, work, nothing).await.is_none() {
            continue;
        }
        let Some(token) = node.token(&address, "verify_email").await else { continue };
        let token = VerifyEmailToken::parse(&token).unwrap();
        let work = node.people.verify_email(&token, PASSWORD.into(), &nowhere);
        node.journal.keep(Intent::Verify { email: address }, work, account).await;
    }
}

fn account(signed_in: &SignedIn) -> Promised {
    Promised { account: Some(signed_in.session().account), ..Promised::default() }
}

/// Each is invited by Ann, joins, makes a key of either kind and is removed, with Ann as the successor.
pub async fn come_and_go(node: Arc<Node>) {
    let mut turn = node.seed(1);
    for number in 0_usize.. {
        if node.is_over() {
            return;
        }
        pause(&mut turn, 20).await;
        // Whoever something goes wrong for is left as they are.
        let _: Option<()> = one(&node, number % node.ann.len()).await;
    }
}

async fn one(node: &Node, team: usize) -> Option<()> {
    let ann = &node.ann[team];
    let address = format!("{}@joins.example", node.name("p"));
    let role = Role::Developer;
    let new = NewInvitation { email: email(&address), role, projects: BTreeMap::new() };
    let intent = Intent::Invite { team, email: address.clone() };
    node.journal.keep(intent, node.people.invite(ann, &new), |_| Promised::default()).await?;

    let token = InvitationToken::parse(&node.token(&address, "invited").await?).unwrap();
    let nowhere = Source::unknown();
    let joining = node.people.sign_up_with_invitation(&token, PASSWORD.into(), &nowhere);
    let intent = Intent::Join { team, email: address.clone() };
    let signed_in = node.journal.keep(intent, joining, account).await?;

    let member = enter(node, &signed_in, team).await?;
    let personal = node.name("personal");
    keys::issue(node, &member, team, &personal, false).await?;
    let service = node.name("service");
    keys::issue(node, &member, team, &service, true).await?;

    let plan = Offboarding {
        successor: Some(node.deed.ann),
        default: Exposure::RotateNow,
        exposed: BTreeMap::new(),
    };
    let intent = Intent::Offboard { team, email: address, personal, service };
    let promised = |done: &portcullis::dashboard::Offboarded| Promised {
        secret: done.rotated.first().map(|issued| issued.text.id()),
        key: done.rotated.first().map(|issued| issued.key.id),
        account: Some(member.account()),
    };
    let offboarding = node.people.offboard(ann, member.account(), &plan);
    node.journal.keep(intent, offboarding, promised).await.map(drop)
}

async fn enter(node: &Node, signed_in: &SignedIn, team: usize) -> Option<Member> {
    let nowhere = Source::unknown();
    let session = node.people.session(signed_in.token(), Activity::Person, &nowhere).await.ok()?;
    node.people.enter(&session, node.deed.teams[team]).await.ok()
}
