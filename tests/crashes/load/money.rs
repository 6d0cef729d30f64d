//! Credit that is granted in small pieces and spent at once, and limits that change.

use std::sync::Arc;
use std::time::Duration;

use portcullis::access::Scope;
use portcullis::api::{ApiDoor, ApiRequest, Caller};
use portcullis::budget::{Budget, SpendError};
use portcullis::dashboard::{Grant, NewLimit};
use portcullis::error::Coded as _;
use portcullis::money::{Amount, Credits};
use portcullis::spend::Period;
use portcullis::store::record::LimitMode;

use super::{Node, pause};
use crate::house::{Database, Deed, SCOPE, catalogue, cost, format};
use crate::journal::{Intent, Promised, leaves_open};

/// Who spends, and whether under an exact limit.
pub async fn spenders<D: Database>(store: &D, deed: &Deed) -> Vec<(bool, Caller)> {
    let door = ApiDoor::builder(store.clone(), store.clone(), catalogue(), format()).build();
    let mut callers = Vec::new();
    for (exact, key) in [(false, &deed.leased_key), (false, &deed.leased_key), (true, &deed.exact_key)] {
        let header = format!("Bearer {key}");
        let need = door.need(&Scope::parse(SCOPE).unwrap()).unwrap();
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
        callers.push((exact, door.authenticate(&request).await.unwrap()));
    }
    callers
}

pub async fn spend(node: Arc<Node>, budget: Budget, exact: bool, caller: Caller) {
    let mut turn = node.seed(10) + u64::from(exact);
    while !node.is_over() {
        pause(&mut turn, if exact { 10 } else { 5 }).await;
        let wanted = i64::try_from((turn >> 40) % 50 + 1).unwrap();
        let amount = Amount::new(Credits::from_millionths(wanted)).unwrap();
        let work = match budget.reserve(caller.purse(), amount).await {
            Ok(work) => work,
            Err(SpendError::Refused(_)) => {
                node.journal.short();
                continue;
            }
            Err(_) => continue,
        };
        pause(&mut turn, 3).await;
        if (turn >> 50).is_multiple_of(8) {
            // Given back.
            continue;
        }
        // Now and then it has cost more than was thought. What a node has leased it writes a heartbeat later: what is
        // beyond that is lost with the node, so that nothing of it could be held against the books.
        let millionths = if exact && (turn >> 50).is_multiple_of(9) { wanted + 3 } else { wanted };
        let intent = Intent::Settle { exact, millionths };
        node.journal.keep(intent, work.settle(cost(millionths)), |_| Promised::default()).await;
    }
}

pub async fn grant_and_limit(node: Arc<Node>) {
    let mut turn = node.seed(20);
    for number in 1_i64.. {
        if node.is_over() {
            return;
        }
        pause(&mut turn, 30).await;
        let (grant, millionths) = (node.name("grant"), 50 + number);
        let intent = Intent::Grant { grant: grant.clone(), millionths };
        let what = Grant::Purchase(Credits::from_millionths(millionths));
        let work = async {
            let mut lost = None;
            loop {
                // The same key again says what became of it.
                match node.operator.grant_credit(node.deed.teams[0], what, &grant).await {
                    Err(error) if leaves_open(&error) => lost = Some(error),
                    Err(error) if lost.is_some() && error.code().starts_with("store_") => {}
                    answer => return answer.map(drop),
                }
                if node.is_over() {
                    return lost.map_or(Ok(()), Err);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        node.journal.keep(intent, work, |()| Promised::default()).await;
        let new = NewLimit {
            project: node.deed.limited[node.slot],
            spender: None,
            period: Period::Day,
            amount: cost(millionths),
            mode: LimitMode::Leased,
        };
        let intent = Intent::Limit { slot: node.slot, millionths };
        node.journal.keep(intent, node.people.set_limit(&node.ann[0], &new), |_| Promised::default()).await;
    }
}
