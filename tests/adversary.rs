//! What reviewers with no stake in the work found when they tried to break it, kept as tests of the rules that it
//! broke; and what they could not break: kills, storms and races.

#![allow(
    unreachable_pub,
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the world is shared with another test binary"
)]
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up has failed; and it lives in real time"
)]

#[path = "suite/world.rs"]
mod world;
use portcullis::access::Scope;
use portcullis::api::{ApiDoor, ApiRequest};
use portcullis::dashboard::*;
use portcullis::secret::*;
use portcullis::store::Store;
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use world::*;

fn name(e: &SignIn) -> String {
    match e {
        SignIn::SignedIn(_) => "signed_in".into(),
        SignIn::SecondFactorNeeded(_) => "2f".into(),
        SignIn::VerifyEmailFirst => "verify_first".into(),
        SignIn::PasswordChangeNeeded => "change".into(),
    }
}
async fn try_in(
    w: &World,
    e: &portcullis::email::EmailAddress,
    p: &str,
    s: &portcullis::source::Source,
) -> String {
    match w.dashboard.sign_in(e, password(p), s).await {
        Ok(a) => name(&a),
        Err(e) => format!("{e:?}"),
    }
}

/// A: a stranger's own sign-up at a known address gives back the victim's failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_backoff_cannot_be_reset_by_a_strangers_sign_up() {
    let w = World::memory().await;
    let ann = w.person("ann@example.com").await;
    w.dashboard
        .sign_up(&ann.email, password("the attacker's own password"), &from("198.51.100.1"))
        .await
        .unwrap();
    let mut evaluated = 0;
    for round in 0..30 {
        let s = from(&format!("198.51.100.{}", round + 2));
        for n in 0..4 {
            let a = try_in(&w, &ann.email, &format!("wrong guess {round} {n} xx"), &s).await;
            if a == "InvalidCredentials" {
                evaluated += 1
            } else {
                println!("round {round} {a}");
            }
        }
        let a = try_in(&w, &ann.email, "the attacker's own password", &s).await;
        if round < 2 {
            println!("own: {a}");
        }
    }
    println!("EVALUATED {evaluated} guesses with no time passing");
    assert!(evaluated <= 5, "{evaluated} wrong passwords of one account were evaluated without any wait");
}

/// B: dropped sign-ins of one source use up everybody's budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_sign_ins_of_one_source_do_not_stop_everybody() {
    let w = World::sqlite().await;
    let ann = w.person("ann@example.com").await;
    let victim = email("nobody@example.com");
    let bad = from("203.0.113.66");
    let hold = w.store.begin().await.unwrap();
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    for _ in 0..3_000 {
        let mut f = Box::pin(w.dashboard.sign_in(&victim, password("x"), &bad));
        let _ = f.as_mut().poll(&mut cx);
    }
    drop(hold);
    let a = try_in(&w, &ann.email, PASSWORD, &source()).await;
    assert_eq!(a, "signed_in");
}

/// C: resend prolongs an unknown address's sign-up only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_tells_known_from_unknown() {
    let w = World::memory().await;
    let ann = w.person("ann@example.com").await;
    let bob = email("bob@example.com");
    let s = from("198.51.100.1");
    let own = "the attacker's own password";
    for e in [&ann.email, &bob] {
        w.dashboard.sign_up(e, password(own), &s).await.unwrap();
    }
    w.pass(Duration::from_secs(23 * 3600));
    for e in [&ann.email, &bob] {
        w.dashboard.resend_verification(e, &s).await.unwrap();
    }
    w.pass(Duration::from_secs(2 * 3600));
    let (known, unknown) = (try_in(&w, &ann.email, own, &s).await, try_in(&w, &bob, own, &s).await);
    assert_eq!(known, unknown, "known / unknown");
}

/// D: an address becomes known by a change of address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn email_change_ends_a_strangers_sign_up() {
    let w = World::memory().await;
    let ann = w.person("ann@example.com").await;
    let next = email("ann.new@example.com");
    let s = from("198.51.100.1");
    let own = "the attacker's own password";
    w.dashboard.sign_up(&next, password(own), &s).await.unwrap();
    assert_eq!(try_in(&w, &next, own, &s).await, "verify_first");
    // Mails of one millisecond have no order.
    w.mail_to(&next).await;
    w.pass(Duration::from_millis(5));
    w.dashboard.request_email_change(&ann.session, &next).await.unwrap();
    let token = ChangeEmailToken::parse(&w.mailed_token(&next).await).unwrap();
    w.dashboard.confirm_email_change(&ann.session, &token).await.unwrap();
    assert_eq!(
        try_in(&w, &next, own, &s).await,
        "verify_first",
        "the stranger sees that it has an account now"
    );
}

/// E: after five wrong passwords a fresh link is dead on arrival.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resent_link_works() {
    let w = World::memory().await;
    let bob = email("bob@example.com");
    w.dashboard.sign_up(&bob, password(PASSWORD), &source()).await.unwrap();
    let t = VerifyEmailToken::parse(&w.mailed_token(&bob).await).unwrap();
    for _ in 0..6 {
        let _ = w.dashboard.verify_email(&t, password("typo typo typo typo"), &source()).await;
    }
    w.dashboard.resend_verification(&bob, &source()).await.unwrap();
    let t = VerifyEmailToken::parse(&w.mailed_token(&bob).await).unwrap();
    let a = w.dashboard.verify_email(&t, password(PASSWORD), &source()).await;
    assert!(a.is_ok(), "{a:?}");
}

/// F: busy verifications use up the link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_does_not_use_up_a_link() {
    let w = World::memory().await;
    let bob = email("bob@example.com");
    w.dashboard.sign_up(&bob, password(PASSWORD), &source()).await.unwrap();
    let t = VerifyEmailToken::parse(&w.mailed_token(&bob).await).unwrap();
    let w = w.with(|b| b.hashing(std::num::NonZeroUsize::MIN, 0));
    let x = email("x@example.com");
    let (mut busy, mut wrong) = (0, 0);
    for n in 0..40 {
        let s1 = from(&format!("198.51.100.{n}"));
        let (_, b) =
            tokio::join!(w.dashboard.sign_in(&x, password("keeps the thread at work"), &s1), async {
                tokio::time::sleep(Duration::from_millis(6)).await;
                w.dashboard.verify_email(&t, password("typo typo typo typo"), &s1).await
            });
        if matches!(b, Err(SignUpError::Busy)) {
            busy += 1;
            if busy == 6 {
                break;
            }
        } else {
            // Five of these may kill it.
            wrong += 1;
            if wrong == 4 {
                break;
            }
        }
    }
    assert!(busy > 0, "the service was never busy");
    let a = w.dashboard.verify_email(&t, password(PASSWORD), &source()).await;
    assert!(a.is_ok(), "{a:?} after {busy} answers of busy");
}

fn door(w: &World) -> ApiDoor {
    ApiDoor::builder(w.store.clone(), w.store.clone(), Arc::clone(&w.catalogue), Arc::clone(&w.format))
        .clock(Arc::new(portcullis::ports::SystemClock::new()))
        .events_per_second(0)
        .build()
}

async fn revoke_race(w: World, seconds: u64) {
    let w = Arc::new(w);
    let ann = w.person("ann@example.com").await;
    let member = w.at_home(&ann).await;
    let d = Arc::new(door(&w));
    // epoch: keys current; 'revoked' flag set after revoke returns
    let calls = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0;
    let mut bad = 0u64;
    while Instant::now() < end {
        let mut new = w.new_key(&member, &["models.read"]).await;
        new.expiry = Expiry::Never;
        let issued = w.dashboard.issue_key(&member, &new).await.unwrap();
        let text = format!("Bearer {}", issued.text.expose_secret());
        let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut tasks = vec![];
        for t in 0..4u64 {
            let (d, text, gone, calls) = (d.clone(), text.clone(), gone.clone(), calls.clone());
            tasks.push(tokio::spawn(async move {
                let need = d.need(&Scope::parse("models.read").unwrap()).unwrap();
                let mut after = 0;
                let mut bad = 0u64;
                let mut ok = 0u64;
                let mut other = 0u64;
                while after < 300 {
                    let was = gone.load(Ordering::SeqCst);
                    let r = d
                        .authenticate(&ApiRequest { authorization: &[text.as_bytes()], peer: None, need })
                        .await;
                    calls.fetch_add(1, Ordering::Relaxed);
                    if was {
                        after += 1;
                        if r.is_ok() {
                            bad += 1
                        }
                    } else if r.is_ok() {
                        ok += 1
                    } else {
                        other += 1
                    }
                    if (ok + other) % 64 == t {
                        tokio::task::yield_now().await;
                    }
                }
                (bad, ok)
            }));
        }
        tokio::time::sleep(Duration::from_millis(rounds % 7)).await;
        match rounds % 3 {
            0 => {
                let _ = w.dashboard.revoke_key(&member, issued.key.id).await.unwrap();
            }
            1 => {
                let _ = w.dashboard.suspend_key(&member, issued.key.id).await.unwrap();
            }
            _ => {
                let _ = w.dashboard.rotate_key(&member, issued.key.id, Rotation::AtOnce, None).await.unwrap();
            }
        }
        gone.store(true, Ordering::SeqCst);
        for t in tasks {
            let (b, _) = t.await.unwrap();
            bad += b;
        }
        rounds += 1;
    }
    println!("RACE rounds {rounds} calls {} bad {bad}", calls.load(Ordering::Relaxed));
    assert_eq!(bad, 0);
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revocation_race_memory() {
    revoke_race(World::memory().await, 4).await
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revocation_race_sqlite() {
    revoke_race(World::sqlite().await, 4).await
}

/// J: many threads on one session.
async fn session_storm(w: World) {
    let w = Arc::new(w);
    for round in 0..6 {
        let ann = w.person(&format!("ann{round}@example.com")).await;
        let mut tasks = vec![];
        for n in 0..12 {
            let (w, session) = (w.clone(), ann.session.clone());
            tasks.push(tokio::spawn(async move {
                match n % 6 {
                    0..=3 => w
                        .dashboard
                        .step_up(&session, Proof { password: password(PASSWORD), second_factor: None })
                        .await
                        .map(|s| s.token().expose_secret().to_owned())
                        .ok(),
                    4 => {
                        let _ = w
                            .dashboard
                            .session(
                                &SessionToken::parse("x")
                                    .unwrap_or_else(|_| SessionToken::from_random([0; 32])),
                                Activity::Person,
                                &source(),
                            )
                            .await;
                        None
                    }
                    _ => {
                        if round % 2 == 0 {
                            tokio::time::sleep(Duration::from_millis(30)).await;
                            w.dashboard.sign_out(&session).await.unwrap();
                        }
                        None
                    }
                }
            }));
        }
        let mut won = vec![];
        for t in tasks {
            if let Some(t) = t.await.unwrap() {
                won.push(t)
            }
        }
        assert!(won.len() <= 1, "{} rotations of one token", won.len());
        let old = w.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await;
        let new = match won.first() {
            Some(t) => w
                .dashboard
                .session(&SessionToken::parse(t).unwrap(), Activity::Person, &source())
                .await
                .is_ok(),
            None => false,
        };
        println!("round {round}: won {} old live {} new live {new}", won.len(), old.is_ok());
        if round % 2 == 0 {
            assert!(old.is_err() && !new, "signed out, and still alive");
        } else {
            assert!(old.is_err() && new);
        }
    }
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn session_storm_memory() {
    session_storm(World::memory().await).await
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn session_storm_sqlite() {
    session_storm(World::sqlite().await).await
}

/// K: kill -9.
const FILE: &str = "BREAKER_FILE";
const RUN: &str = "BREAKER_RUN";
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(file), Ok(run)) = (std::env::var(FILE), std::env::var(RUN)) else { return };
    let store = SqliteStore::open(&file, SqliteOptions::default()).unwrap();
    let w = World::over(AnyStore::Sqlite(store), None, |b| b);
    println!("\nREADY");
    let w = Arc::new(w);
    let mut tasks = vec![];
    for t in 0..3 {
        let (w, run) = (w.clone(), run.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..10_000 {
                let s = from(&format!("10.{}.{}.{}", run, t, n % 250));
                let e = email(&format!("k{run}x{t}x{n}@example.com"));
                w.dashboard.sign_up(&e, password(PASSWORD), &s).await.unwrap();
                println!("SIGNUP {e}");
                let mut token = None;
                for _ in 0..50 {
                    let m = w.mail_to(&e).await;
                    if let Some(l) = m.iter().rev().find_map(portcullis::ports::Message::link) {
                        token = Some(l.split_once("#token=").unwrap().1.to_owned());
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let token = VerifyEmailToken::parse(&token.unwrap()).unwrap();
                println!("TRY {e}");
                let si = w.dashboard.verify_email(&token, password(PASSWORD), &s).await.unwrap();
                println!("ACCOUNT {e} {}", si.token().expose_secret());
                let p = w.signed_in(e.clone(), si).await;
                let member = w.at_home(&p).await;
                for _ in 0..3 {
                    let new = w.new_key(&member, &["models.read"]).await;
                    let k = w.dashboard.issue_key(&member, &new).await.unwrap();
                    println!("KEY {e} {} {}", k.key.id, k.text.expose_secret());
                    let r = w.dashboard.rotate_key(&member, k.key.id, Rotation::AtOnce, None).await.unwrap();
                    println!("ROTATED {e} {} {}", k.key.id, r.text.expose_secret());
                }
                let k = w
                    .dashboard
                    .issue_key(&member, &w.new_key(&member, &["models.read"]).await)
                    .await
                    .unwrap();
                let _ = w.dashboard.revoke_key(&member, k.key.id).await.unwrap();
                println!("REVOKED {e} {} {}", k.key.id, k.text.expose_secret());
            }
        }));
    }
    for t in tasks {
        t.await.unwrap();
    }
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.db").display().to_string();
    let (mut lines_all, mut kills) = (vec![], 0);
    for run in 0..25u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(FILE, &file)
            .env(RUN, run.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut all = vec![];
            let mut l = String::new();
            while out.read_line(&mut l).unwrap_or(0) > 0 {
                if l.ends_with('\n') {
                    all.push(l.trim().to_owned());
                }
                l.clear();
            }
            all
        });
        tokio::time::sleep(Duration::from_millis(600 + run * 37 % 500)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        lines_all.extend(reader.join().unwrap());
    }
    let store = SqliteStore::open(&file, SqliteOptions::default()).unwrap();
    let w = World::over(AnyStore::Sqlite(store), None, |b| b);
    let d =
        ApiDoor::builder(w.store.clone(), w.store.clone(), Arc::clone(&w.catalogue), Arc::clone(&w.format))
            .clock(Arc::clone(&w.clock) as _)
            .events_per_second(0)
            .build();
    let need = d.need(&Scope::parse("models.read").unwrap()).unwrap();
    let (mut accounts, mut keys, mut rotated, mut revoked, mut ups) = (0, 0, 0, 0, 0);
    let mut dead: std::collections::HashMap<String, String> = Default::default();
    let mut live: std::collections::HashMap<String, String> = Default::default();
    for l in &lines_all {
        let p: Vec<&str> = l.split(' ').collect();
        match p[0] {
            "SIGNUP" => ups += 1,
            "ACCOUNT" => {
                accounts += 1;
                let session = w
                    .dashboard
                    .session(&SessionToken::parse(p[2]).unwrap(), Activity::Person, &source())
                    .await
                    .unwrap();
                let ws = w.dashboard.workspaces(&session).await.unwrap();
                assert_eq!(ws.len(), 1);
                let m = w.dashboard.enter(&session, ws[0].id).await.unwrap();
                assert_eq!(w.dashboard.projects(&m).await.unwrap().len(), 1);
            }
            "KEY" => {
                keys += 1;
                live.insert(p[2].into(), p[3].into());
            }
            "ROTATED" => {
                rotated += 1;
                if let Some(o) = live.insert(p[2].into(), p[3].into()) {
                    dead.insert(p[2].into(), o);
                }
            }
            "REVOKED" => {
                revoked += 1;
                dead.insert(p[2].into(), p[3].into());
            }
            _ => {}
        }
    }
    let mut unsure = 0;
    for (id, t) in &live {
        let h = format!("Bearer {t}");
        let r = d.authenticate(&ApiRequest { authorization: &[h.as_bytes()], peer: None, need }).await;
        if let Err(e) = r {
            if dead.contains_key(id) {
                panic!("rotated key lost {id} {:?}", e.reason())
            }
            unsure += 1;
        }
    }
    for (id, t) in &dead {
        let h = format!("Bearer {t}");
        assert!(
            d.authenticate(&ApiRequest { authorization: &[h.as_bytes()], peer: None, need }).await.is_err(),
            "dead key alive {id}"
        );
    }
    println!(
        "KILLS {kills} signups {ups} accounts {accounts} keys {keys} rotated {rotated} revoked {revoked} unsure {unsure} (at most 3 a kill: rotated, not acknowledged)"
    );
    let sql = |q: &str| {
        String::from_utf8(Command::new("sqlite3").args([&file, q]).output().unwrap().stdout).unwrap()
    };
    println!("INTEGRITY {}{}", sql("PRAGMA integrity_check"), sql("PRAGMA foreign_key_check"));
    println!(
        "no workspace: {}",
        sql(
            "select count(*) from portcullis_accounts a where not exists (select 1 from portcullis_workspaces w where w.personal_of=a.id) or not exists (select 1 from portcullis_memberships m where m.account=a.id)"
        )
    );
    println!(
        "no project: {}",
        sql(
            "select count(*) from portcullis_workspaces w where not exists (select 1 from portcullis_projects p where p.workspace=w.id)"
        )
    );
    println!(
        "keys not with 1 secret: {}",
        sql(
            "select count(*) from portcullis_keys k where (select count(*) from portcullis_secrets s where s.key=k.id)<>1"
        )
    );
    println!("tables: {}", sql(".tables"));
    println!(
        "accounts: {} audit created: {}",
        sql("select count(*) from portcullis_accounts"),
        sql("select action,count(*) from portcullis_audit group by 1")
    );
    assert!(ups > 20 && keys > 20);
}

fn code_of(w: &World, secret: &str) -> portcullis::totp::TotpCode {
    use portcullis::ports::Clock as _;
    // No program of the machine: `cargo test` needs nothing but the toolchain and a C compiler.
    let url = format!("otpauth://totp/Acme:x?secret={secret}&issuer=Acme");
    let secret = portcullis::totp::parse_otpauth(&url).unwrap().secret;
    let portcullis::totp::Step(step) = portcullis::totp::Step::of(w.clock.now());
    let token = totp_rs::Builder::new()
        .with_step_duration(1)
        .with_secret(secret.expose_bytes())
        .build_noncompliant()
        .generate(step);
    portcullis::totp::TotpCode::parse(&token.to_string()).unwrap()
}

/// L: a sealed secret opens for another account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_totp_secret_is_bound_to_its_account() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("l.db");
    let w = World::over(
        AnyStore::Sqlite(SqliteStore::open(&file, SqliteOptions::default()).unwrap()),
        None,
        |b| b,
    );
    let mallory = w.person("mallory@example.com").await;
    let bob = w.person("bob@example.com").await;
    let mut secrets = vec![];
    for p in [&mallory, &bob] {
        let setup = w.dashboard.begin_totp(&p.session).await.unwrap();
        let secret = setup.provisioning().manual_entry().expose_secret().replace(' ', "");
        w.dashboard.confirm_totp(&p.session, &code_of(&w, &secret)).await.unwrap();
        secrets.push(secret);
    }
    w.pass(Duration::from_secs(60));
    let q = "delete from portcullis_totp_factors where account=(select id from portcullis_accounts where email like 'bob%'); update portcullis_totp_factors set account=(select id from portcullis_accounts where email like 'bob%');";
    assert!(Command::new("sqlite3").arg(&file).arg(q).status().unwrap().success());
    let SignIn::SecondFactorNeeded(p) =
        w.dashboard.sign_in(&bob.email, password(PASSWORD), &source()).await.unwrap()
    else {
        panic!()
    };
    let a =
        w.dashboard.second_factor(p.token(), SecondFactor::Totp(code_of(&w, &secrets[0])), &source()).await;
    assert!(a.is_err(), "mallory's app signs in as bob");
}

/// O: a right password at the moment of a rehash.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_sign_ins_with_an_outdated_hash_all_work() {
    let w = World::memory().await;
    let ann = w.person("ann@example.com").await;
    let w = w.with(|b| b.hash_params(portcullis::password::HashParams::new(20 * 1024, 2, 1).unwrap()));
    let s = source();
    let (a, b, c) = tokio::join!(
        try_in(&w, &ann.email, PASSWORD, &s),
        try_in(&w, &ann.email, PASSWORD, &s),
        try_in(&w, &ann.email, PASSWORD, &s)
    );
    assert_eq!([a, b, c], ["signed_in", "signed_in", "signed_in"].map(String::from));
}

/// P: one account's own requests fill the hashing queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_account_cannot_make_everybody_busy() {
    let w = Arc::new(World::memory().await);
    let ann = w.person("ann@example.com").await;
    let m = w.person("mallory@example.com").await;
    let setup = w.dashboard.begin_totp(&m.session).await.unwrap();
    let secret = setup.provisioning().manual_entry().expose_secret().replace(' ', "");
    let c = w.dashboard.confirm_totp(&m.session, &code_of(&w, &secret)).await.unwrap();
    let m = Arc::new(w.signed_in(m.email.clone(), c.signed_in).await);
    let mut tasks = vec![];
    for _ in 0..90 {
        let (w, m) = (w.clone(), m.clone());
        tasks.push(tokio::spawn(async move {
            w.dashboard.regenerate_recovery_codes(&m.session).await.map(|_| ()).map_err(|e| format!("{e:?}"))
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut answers = vec![];
    for _ in 0..10 {
        answers.push(try_in(&w, &ann.email, PASSWORD, &source()).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut ok = 0;
    for t in tasks {
        if t.await.unwrap().is_ok() {
            ok += 1
        }
    }
    println!("regenerated {ok}; answers {answers:?}");
    assert!(answers.iter().all(|a| a == "signed_in"));
}

/// Q: an address whose password was turned off before it had an account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_account_starts_with_no_failures_of_strangers() {
    let w = World::memory().await;
    let bob = email("bob@example.com");
    let mut n = 0;
    loop {
        let a = try_in(&w, &bob, "x", &from(&format!("10.1.{}.7", n % 200))).await;
        n += 1;
        if a.contains("Disabled") || n > 400 {
            println!("{n} {a}");
            break;
        }
        w.pass(Duration::from_secs(901));
    }
    let bob = w.person("bob@example.com").await;
    assert_eq!(try_in(&w, &bob.email, PASSWORD, &source()).await, "signed_in");
}

/// R: both second factors off: is there any way out for the owner?
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_locked_out_of_both_factors_has_a_way_out() {
    let w = World::memory().await;
    let ann = w.person("ann@example.com").await;
    let setup = w.dashboard.begin_totp(&ann.session).await.unwrap();
    let secret = setup.provisioning().manual_entry().expose_secret().replace(' ', "");
    let c = w.dashboard.confirm_totp(&ann.session, &code_of(&w, &secret)).await.unwrap();
    let code = c.codes.iter().next().unwrap().shown().expose_secret().to_owned();
    let wrong = || SecondFactor::Totp(portcullis::totp::TotpCode::parse("000000").unwrap());
    let mut hours = 0;
    for kind in 0..2 {
        for _ in 0..60 {
            let Ok(SignIn::SecondFactorNeeded(p)) =
                w.dashboard.sign_in(&ann.email, password(PASSWORD), &from("203.0.113.9")).await
            else {
                panic!()
            };
            let f = if kind == 0 {
                wrong()
            } else {
                SecondFactor::Recovery(
                    portcullis::recovery::TypedRecoveryCode::parse("AAAA-AAAA-AAAA-AAAA").unwrap(),
                )
            };
            let e = format!(
                "{:?}",
                w.dashboard.second_factor(p.token(), f, &from("203.0.113.9")).await.unwrap_err()
            );
            if e.contains("Disabled") {
                println!("{e} after {hours} h");
                break;
            }
            w.pass(Duration::from_secs(3601));
            hours += 1;
        }
    }
    w.pass(Duration::from_secs(365 * 86400));
    // The operator clears the failed tries: it is on the record, and the owner is told.
    let operator = Operator::of(&w.dashboard, "support: Kim").unwrap();
    operator.unlock_account(ann.session.account(), "called, and was who she said").await.unwrap();
    // the owner: reset, then both factors, a year later
    w.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
    let t = ResetToken::parse(&w.mailed_token(&ann.email).await).unwrap();
    w.dashboard.reset_password(&t, password(OTHER_PASSWORD), &source()).await.unwrap();
    let mut got = vec![];
    for f in [
        SecondFactor::Totp(code_of(&w, &secret)),
        SecondFactor::Recovery(portcullis::recovery::TypedRecoveryCode::parse(&code).unwrap()),
    ] {
        let SignIn::SecondFactorNeeded(p) =
            w.dashboard.sign_in(&ann.email, password(OTHER_PASSWORD), &source()).await.unwrap()
        else {
            panic!()
        };
        got.push(format!("{:?}", w.dashboard.second_factor(p.token(), f, &source()).await.map(|_| "in")));
    }
    assert!(got.iter().any(|g| g.contains("in\"")), "{got:?}");
}

/// S: `everywhere` of one process, the trust of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everywhere_waits_for_a_process_that_trusts_longer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let w = World::over(
        AnyStore::Sqlite(SqliteStore::open(&file, SqliteOptions::default()).unwrap()),
        None,
        |b| b,
    );
    let other = SqliteStore::open(&file, SqliteOptions::default().trust(Duration::from_secs(3))).unwrap();
    let d = ApiDoor::builder(other.clone(), other, Arc::clone(&w.catalogue), Arc::clone(&w.format))
        .events_per_second(0)
        .build();
    let ann = w.person("ann@example.com").await;
    let member = w.at_home(&ann).await;
    let mut new = w.new_key(&member, &["models.read"]).await;
    new.expiry = Expiry::Never;
    let k = w.dashboard.issue_key(&member, &new).await.unwrap();
    let need = d.need(&Scope::parse("models.read").unwrap()).unwrap();
    let h = format!("Bearer {}", k.text.expose_secret());
    let r = ApiRequest { authorization: &[h.as_bytes()], peer: None, need };
    d.authenticate(&r).await.unwrap();
    w.dashboard.revoke_key(&member, k.key.id).await.unwrap().everywhere().await;
    assert!(d.authenticate(&r).await.is_err(), "everywhere() returned and the key is accepted");
}
