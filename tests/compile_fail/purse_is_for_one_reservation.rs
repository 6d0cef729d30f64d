//! M22: the right to spend comes out of a door, and is used once.
use portcullis::budget::{Budget, Purse, Reservation};
use portcullis::id::{KeyId, ProjectId, WorkspaceId};
use portcullis::money::{Amount, Cost};

fn make_one_up(workspace: WorkspaceId, project: ProjectId, key: KeyId) -> Purse {
    Purse::of_key(workspace, project, key)
}

fn of_another_project(purse: Purse, project: ProjectId) -> Purse {
    Purse { project, ..purse }
}

fn copy(purse: &Purse) -> Purse {
    Purse::clone(purse)
}

async fn use_it_twice(budget: &Budget, purse: Purse, amount: Amount) {
    let _first = budget.reserve(purse, amount).await;
    let _second = budget.reserve(purse, amount).await;
}

async fn settle_twice(held: Reservation, cost: Cost) {
    let _first = held.settle(cost).await;
    let _second = held.settle(cost).await;
}

fn main() {}
