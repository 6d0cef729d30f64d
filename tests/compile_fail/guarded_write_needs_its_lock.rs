//! ARCHITECTURE 1: the writes that a lock guards ask for the lock.
use portcullis::store::Transaction;
use portcullis::store::record::{Account, Key, Session, Workspace};

async fn sign_in_without_the_lock(tx: &mut dyn Transaction, account: &Account, session: &Session) {
    let _ = tx.insert_session(account, session).await;
}

async fn make_a_key_without_the_lock(tx: &mut dyn Transaction, workspace: &Workspace, key: &Key) {
    let _ = tx.insert_key(workspace, key).await;
}

fn main() {}
