//! Money in the file.

use super::*;

/// One of each that a ledger has, in workspace 1.
async fn fill_ledger(store: &SqliteStore) {
    let mut tx = store.begin().await.unwrap();
    let locked = tx.insert_workspace(&workspace(1, "w")).await.unwrap().unwrap();
    assert!(tx.insert_project(&locked, &project(id(1), 2, "p")).await.unwrap());
    let ledger = tx.lock_ledger(id(1)).await.unwrap().unwrap();
    let (day, of) = (Day::of(at(0)), Limited::Spender(id(2), Spender::Key(id(3))));
    let limit = Limit { id: id(4), of, period: Period::Day, ..Limit::pool(id(1)) };
    tx.put_limit(&ledger, &limit).await.unwrap();
    tx.put_limit(&ledger, &Limit { id: id(5), of: Limited::Project(id(2)), ..limit }).await.unwrap();
    tx.put_meter(&ledger, limit.id, day, &Meter::default()).await.unwrap();
    let hold = Hold {
        id: id(1),
        workspace: id(1),
        project: id(2),
        line: of.spender(),
        node: id(1),
        day,
        amount: Credits::ZERO,
        state: HoldState::Live,
        slice: true,
        epoch: 0,
        step: 0,
        recall: 1,
        answered: 0,
        expires_at: at(1),
    };
    tx.put_hold(&ledger, &hold).await.unwrap();
    let entry = LedgerEntry {
        id: id(1),
        workspace: id(1),
        at: at(1),
        kind: LedgerKind::Reserved,
        day,
        project: Some(id(2)),
        line: of.spender(),
        spender: of.spender(),
        hold: Some(hold.id),
        granted: Credits::ZERO,
        delta: Delta::default(),
        idempotency_key: Some("k".to_owned()),
    };
    tx.append_ledger(&ledger, &[entry]).await.unwrap();
    let (amount, used) = (Credits::ZERO, Credits::ZERO);
    let (workspace, limit, period, at, percent) = (id(1), limit.id, limit.period, at(1), 50);
    let alert = Alert { id: id(1), workspace, limit, of, period, day, percent, amount, used, at };
    assert!(tx.insert_alert(&ledger, &alert).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_is_spent_reads_back_or_is_a_typed_error() {
    for (table, column, value) in [
        ("limits", "period", "'year'"),
        ("limits", "mode", "'x'"),
        ("limits", "spender", "zeroblob(17)"),
        ("meters", "day", "2147483648"),
        ("holds", "line", "zeroblob(17)"),
        ("holds", "day", "-2147483649"),
        ("holds", "state", "'lost'"),
        ("holds", "epoch", "4294967296"),
        ("holds", "step", "-1"),
        ("holds", "recall", "-1"),
        ("holds", "answered", "-1"),
        ("holds", "expires_at", "9223372036854775807"),
        ("ledger", "at", "9223372036854775807"),
        ("ledger", "kind", "'Reserved'"),
        ("ledger", "day", "2147483648"),
        ("ledger", "line", "zeroblob(17)"),
        ("ledger", "spender", "zeroblob(17)"),
        ("alerts", "project", "NULL"),
        ("alerts", "spender", "zeroblob(17)"),
        ("alerts", "period", "''"),
        ("alerts", "day", "2147483648"),
        ("alerts", "percent", "256"),
        ("alerts", "at", "9223372036854775807"),
    ] {
        let place = Place::new();
        let store = place.open();
        fill_ledger(&store).await;
        let which = if table == "limits" { " WHERE spender IS NOT NULL" } else { "" };
        let change = format!("UPDATE portcullis_{table} SET {column} = {value}{which}");
        assert_eq!(place.raw().execute(&change, []).unwrap(), 1, "{change}");
        let mut read = reader(&store).await;
        let answer = match table {
            "limits" => read.limit(id(4)).await.map(drop),
            "meters" => read.meters(id(4)).await.map(drop),
            "holds" => read.hold(id(1)).await.map(drop),
            "ledger" => read.ledger_entries(id(1), None, 9).await.map(drop),
            _ => read.alerts(None, 9).await.map(drop),
        };
        let column = if value == "NULL" { "spender" } else { column };
        let Err(StoreError::Corrupt { what }) = answer else { panic!("{change}: {answer:?}") };
        assert_eq!(what, format!("{table}.{column}"));
    }
}

/// What must be unique of a ledger is so in the database itself.
#[tokio::test]
async fn the_database_itself_refuses_a_second_limit_key_and_alert() {
    let place = Place::new();
    fill_ledger(&place.open()).await;
    let limit = "INSERT INTO portcullis_limits SELECT zeroblob(16), workspace, project, spender, period, 0, 'exact' \
                 FROM portcullis_limits WHERE ";
    for again in [
        format!("{limit} project IS NULL"),
        format!("{limit} project IS NOT NULL AND spender IS NULL"),
        format!("{limit} spender IS NOT NULL"),
        "INSERT INTO portcullis_ledger SELECT zeroblob(16), workspace, at, kind, day, project, line, spender, hold, \
         granted, held, settled, unaccounted, idempotency_key FROM portcullis_ledger"
            .to_owned(),
        "INSERT INTO portcullis_alerts SELECT zeroblob(16), workspace, limit_id, project, spender, period, day, \
         percent, amount, used, at, raised, taken FROM portcullis_alerts"
            .to_owned(),
    ] {
        let refused = place.raw().execute(&again, []).unwrap_err();
        assert!(refused.to_string().contains("UNIQUE"), "{again}: {refused}");
    }
}
