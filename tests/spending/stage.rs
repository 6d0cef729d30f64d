//! A workspace with credit, a project with limits, and nodes that spend.

use std::sync::Arc;
use std::time::Duration;

use portcullis::budget::{Budget, BudgetOptions, Purse, Refusal, RefusedBy, Reservation, SpendError};
use portcullis::dashboard::{Grant, LimitView, Member, NewLimit, Operator};
use portcullis::id::{LimitId, ProjectId};
use portcullis::money::{Amount, Cost, Credits};
use portcullis::ports::SystemEntropy;
use portcullis::spend::{Period, Spender};
use portcullis::store::record::LimitMode;

use crate::world::{AnyStore, Person, World};

pub struct Stage {
    pub world: World,
    pub person: Person,
    pub member: Member,
    pub project: ProjectId,
    pub operator: Operator,
}

pub fn credits(millionths: i64) -> Credits {
    Credits::from_millionths(millionths)
}

pub fn amount(millionths: i64) -> Amount {
    Amount::new(credits(millionths)).unwrap()
}

pub fn cost(millionths: i64) -> Cost {
    Cost::new(credits(millionths)).unwrap()
}

/// A limit of all of a project's spending.
pub fn limit(project: ProjectId, period: Period, millionths: i64, mode: LimitMode) -> NewLimit {
    NewLimit { project, spender: None, period, amount: cost(millionths), mode }
}

impl Stage {
    /// An administrator at home, with this much credit.
    pub async fn with(world: World, credit: i64) -> Self {
        let person = world.person("ada@example.com").await;
        let member = world.at_home(&person).await;
        let project = world.dashboard.projects(&member).await.unwrap()[0].id;
        let operator = Operator::of(&world.dashboard, "billing").unwrap();
        if credit > 0 {
            let what = Grant::Purchase(credits(credit));
            operator.grant_credit(member.workspace(), what, "first").await.unwrap();
        }
        Self { world, person, member, project, operator }
    }

    /// A node with the test's clock: its heartbeat is the test's own.
    pub fn node(&self) -> Budget {
        self.node_with(BudgetOptions::new().patience(Duration::ZERO))
    }

    pub fn node_with(&self, options: BudgetOptions) -> Budget {
        let entropy = Arc::new(SystemEntropy::new());
        Budget::with_ports(self.world.store.clone(), options, Arc::clone(&self.world.clock) as _, entropy)
            .unwrap()
    }

    /// The member's right to spend once.
    pub async fn purse(&self) -> Purse {
        self.world.dashboard.playground(&self.member, self.project).await.unwrap()
    }

    pub async fn reserve(&self, node: &Budget, millionths: i64) -> Result<Reservation, SpendError> {
        node.reserve(self.purse().await, amount(millionths)).await
    }

    pub async fn limit(&self, period: Period, millionths: i64, mode: LimitMode) -> LimitId {
        let new = limit(self.project, period, millionths, mode);
        self.world.dashboard.set_limit(&self.member, &new).await.unwrap()
    }

    pub fn me(&self) -> Spender {
        Spender::Member(self.member.account())
    }

    pub async fn limit_of(
        &self,
        spender: Spender,
        period: Period,
        millionths: i64,
        mode: LimitMode,
    ) -> LimitId {
        let new = NewLimit { spender: Some(spender), ..limit(self.project, period, millionths, mode) };
        self.world.dashboard.set_limit(&self.member, &new).await.unwrap()
    }

    /// How a limit stands.
    pub async fn stands(&self, id: LimitId) -> LimitView {
        let limits = self.world.dashboard.limits(&self.member, self.project).await.unwrap();
        limits.into_iter().find(|limit| limit.id == id).unwrap()
    }

    /// What the pool has: settled, held, unaccounted.
    pub async fn pool(&self) -> (i64, i64, i64) {
        let credit = self.world.dashboard.credit(&self.member).await.unwrap();
        (credit.settled.millionths(), credit.held.millionths(), credit.unaccounted.millionths())
    }

    /// Every balance is the sum of its entries, and nothing is overspent beyond what is recorded.
    pub async fn check(&self) {
        let found = self.operator.check_ledger(self.member.workspace()).await.unwrap();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Who refused, and how much was left.
pub fn refused<T: core::fmt::Debug>(answer: Result<T, SpendError>) -> (RefusedBy, i64) {
    let refusal = refusal(answer);
    (refusal.by, refusal.left.millionths())
}

pub fn refusal<T: core::fmt::Debug>(answer: Result<T, SpendError>) -> Refusal {
    match answer {
        Err(SpendError::Refused(refusal)) => refusal,
        other => panic!("not refused but {other:?}"),
    }
}

/// Another world on an adapter of the same kind.
pub async fn fresh(world: &World) -> World {
    match world.store {
        AnyStore::Memory(_) => World::memory().await,
        AnyStore::Sqlite(_) => World::sqlite().await,
        #[cfg(feature = "postgres")]
        AnyStore::Postgres(..) => World::postgres().await,
    }
}
