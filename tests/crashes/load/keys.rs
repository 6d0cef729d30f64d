//! Keys that are issued, rotated, suspended, resumed and revoked: what hands out a secret, under an operation id.

use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::{Committed, IssuedKey, KeyError, Member, Rotation};
use portcullis::error::Coded as _;

use super::{Node, pause};
use crate::house::new_key;
use crate::journal::{Intent, Promised, leaves_open};

/// Ann's, one after the other.
pub async fn come_and_go(node: Arc<Node>, team: usize) {
    let mut turn = node.seed(2) + team as u64;
    let mut number = 0_u64;
    while !node.is_over() {
        number += 1;
        let name = node.name("key");
        let _: Option<()> = one(&node, team, &name, number, &mut turn).await;
        pause(&mut turn, 6).await;
    }
}

async fn one(node: &Node, team: usize, name: &str, number: u64, turn: &mut u64) -> Option<()> {
    let (ann, key) = (&node.ann[team], || name.to_owned());
    let issued = issue(node, ann, team, name, number.is_multiple_of(2)).await?;
    let id = issued.key?;
    rotate(node, ann, name, id, Rotation::AtOnce).await?;
    pause(turn, 6).await;
    let nothing = |_: &Committed| Promised::default();
    drop(node.journal.keep(Intent::Suspend { key: key() }, node.people.suspend_key(ann, id), nothing).await?);
    if number.is_multiple_of(3) {
        return None;
    }
    drop(node.journal.keep(Intent::Resume { key: key() }, node.people.resume_key(ann, id), nothing).await?);
    pause(turn, 6).await;
    rotate(node, ann, name, id, Rotation::Overlap(Duration::from_hours(1))).await?;
    if number.is_multiple_of(4) {
        return None;
    }
    node.journal.keep(Intent::Revoke { key: key() }, node.people.revoke_key(ann, id), nothing).await.map(drop)
}

pub async fn issue(node: &Node, member: &Member, team: usize, name: &str, service: bool) -> Option<Promised> {
    let operation = node.operation();
    let new = new_key(node.deed.projects[team], name, service, Some(operation));
    let intent = Intent::Issue { team, key: name.to_owned(), service, by: member.account(), operation };
    let work = surely(node, || node.people.issue_key(member, &new));
    node.journal.keep(intent, work, |done| *done).await
}

async fn rotate(
    node: &Node,
    member: &Member,
    name: &str,
    id: portcullis::id::KeyId,
    rotation: Rotation,
) -> Option<Promised> {
    let operation = node.operation();
    let intent = Intent::Rotate { key: name.to_owned(), by: member.account(), operation };
    let work = surely(node, || node.people.rotate_key(member, id, rotation, Some(operation)));
    node.journal.keep(intent, work, |done| *done).await
}

/// Where the answer to a commit was lost, asks again under the same operation id, as long as the store is away.
async fn surely<F>(node: &Node, work: impl Fn() -> F) -> Result<Promised, KeyError>
where
    F: Future<Output = Result<IssuedKey, KeyError>>,
{
    let mut lost = None;
    for _ in 0..200 {
        match work().await {
            Ok(done) => {
                return Ok(Promised { key: Some(done.key.id), secret: Some(done.text.id()), account: None });
            }
            Err(KeyError::AlreadyDone { key }) => {
                return Ok(Promised { key: Some(key), ..Promised::default() });
            }
            Err(error) if leaves_open(&error) => lost = Some(error),
            // The first try may have been done, whatever became of this one.
            Err(error) if lost.is_some() && error.code().starts_with("store_") => {}
            Err(error) => return Err(lost.unwrap_or(error)),
        }
        if node.is_over() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(lost.unwrap_or(KeyError::Revoked))
}
