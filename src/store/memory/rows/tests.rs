use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::access::{ProjectRole, Role, RoleDefinition};
use crate::email::EmailAddress;
use crate::id::{
    AccountId, EntryId, FactorId, Id, KeyId, LimitId, MailId, ProjectId, RecoveryCaseId, WorkspaceId,
};
use crate::key::KeyDigest;
use crate::money::Credits;
use crate::name::DisplayName;
use crate::password::PasswordHash;
use crate::secret::Sealed;
use crate::source::Source;
use crate::spend::{Day, Meter, Period, Spender};
use crate::store::record::{
    AccountStatus, Alert, Assurance, Entry, Hold, HoldState, Invitation, KeyKind, Limit, Limited, Membership,
    Project, ProjectMembership, RecoveryKind, TokenKind, TotpFactor, Workspace,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn id<I: Id>(number: u8) -> I {
    I::from_parts(at(0), [number; 10])
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn session(token: u8, idle_until: i64) -> Session {
    Session {
        id: id(1),
        account: id(1),
        token: TokenDigest([token; 32]),
        assurance: Assurance::none(),
        source: Source::unknown(),
        created_at: at(0),
        seen_at: at(0),
        idle_until: at(idle_until),
        ends_at: at(100),
    }
}

fn entry() -> Entry {
    Entry { id: id(1), session: id(1), account: id(1), workspace: id(1), at: at(0), ended_at: None }
}

/// What one row leaves behind in any index would never be found again by its name, only by mistake.
#[test]
fn a_row_that_was_put_changed_and_dropped_leaves_no_index_behind() {
    let mut state = State::default();
    let sealed = Sealed::from_bytes(vec![1]);

    let hash = PasswordHash::parse(
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g",
    );
    let sign_up = |name: &str, second: i64| SignUp {
        id: id(1),
        email: email(name),
        password: hash.clone().unwrap(),
        token: TokenDigest([u8::try_from(second).unwrap(); 32]),
        failures: 0,
        created_at: at(second),
        expires_at: at(second + 10),
    };
    state.put_sign_up(&sign_up("a@example.com", 1));
    state.put_sign_up(&sign_up("b@example.com", 2));
    assert_eq!((state.sign_up_tokens.len(), state.sign_up_ends.until(at(99), 9).len()), (1, 1));
    assert!(state.drop_sign_up(id(1)) && !state.drop_sign_up(id(1)));
    assert_eq!(state.filled(), [""; 0]);

    for second in [1, 2] {
        let (created_at, expires_at) = (at(0), at(second));
        state.put_enrolment(&TotpEnrolment {
            id: id::<FactorId>(1),
            account: id(1),
            secret: sealed.clone(),
            created_at,
            expires_at,
        });
    }
    assert!(state.drop_enrolment(id(1)) && !state.drop_enrolment(id(1)));
    assert_eq!(state.filled(), [""; 0]);

    state.put_session(&session(1, 10));
    state.put_entry(&entry());
    state.put_session(&session(2, 200));
    assert!(
        state.entries_of.contains_key(&(id::<SessionId>(1), id::<WorkspaceId>(1))),
        "a rotation must keep the entries"
    );
    assert!(state.session_tokens.get(&TokenDigest([1; 32])).is_none(), "the old token opens the session");
    assert!(state.drop_session(id(1)) && !state.drop_session(id(1)));
    assert_eq!(state.filled(), [""; 0]);

    let token = |kind, second| OneTimeToken {
        digest: TokenDigest([1; 32]),
        kind,
        account: id(1),
        email: None,
        assurance: None,
        created_at: at(0),
        expires_at: at(second),
    };
    state.put_token(&token(TokenKind::Reset, 1));
    state.put_token(&token(TokenKind::SignIn, 2));
    assert!(state.drop_token(&TokenDigest([1; 32])).is_some());
    assert_eq!(state.filled(), [""; 0]);

    state.put_counter(CounterKey([1; 32]), Counter::fresh(at(1)));
    state.put_counter(CounterKey([1; 32]), Counter::fresh(at(2)));
    assert!(state.drop_counter(CounterKey([1; 32])));
    assert_eq!(state.filled(), [""; 0]);
}

#[test]
fn a_membership_goes_with_its_project_roles_and_entries_alone() {
    let mut state = State::default();
    for account in [1, 2] {
        let (workspace, account) = (id(1), id(account));
        state.put_membership(&Membership { workspace, account, role: Role::Viewer, since: at(0) });
        let role = ProjectRole::Is(Role::Admin);
        state.put_project_membership(&ProjectMembership { workspace, project: id(1), account, role });
    }
    state.put_entry(&entry());
    state.put_entry(&Entry { id: id(2), session: id(2), account: id(2), ..entry() });

    assert!(state.drop_membership(id(1), id(1)));
    assert!(!state.entries.contains_key(&id::<EntryId>(1)) && state.entries.contains_key(&id::<EntryId>(2)));
    assert!(!state.project_memberships.contains_key(&(id::<ProjectId>(1), id::<AccountId>(1))));
    assert!(state.project_memberships.contains_key(&(id::<ProjectId>(1), id::<AccountId>(2))));

    assert!(state.drop_membership(id(1), id(2)) && !state.drop_membership(id(1), id(2)));
    assert_eq!(state.filled(), [""; 0]);
}

fn account(number: u8) -> Account {
    Account {
        id: id(number),
        email: email(&format!("p{number}@example.com")),
        email_verified_at: at(0),
        password: None,
        status: AccountStatus::Active,
        created_at: at(0),
        signed_in_at: None,
    }
}

#[test]
fn an_account_goes_with_all_that_is_its_own() {
    let mut state = State::default();
    let secret = Sealed::from_bytes(vec![1]);
    state.put_account(&account(1));
    let (created_at, expires_at, confirmed_at) = (at(0), at(9), at(0));
    state.put_enrolment(&TotpEnrolment {
        id: id::<FactorId>(1),
        account: id(1),
        secret: secret.clone(),
        created_at,
        expires_at,
    });
    let last_step = crate::totp::Step(1);
    let factor = TotpFactor { id: id::<FactorId>(1), account: id(1), secret, confirmed_at, last_step };
    state.factors.insert(factor.account, Arc::new(factor));
    for number in [1, 2] {
        state.put_recovery_case(&RecoveryCase {
            id: id::<RecoveryCaseId>(number),
            account: id(1),
            kind: RecoveryKind::SecondFactor,
            email_confirmed_at: None,
            opened_by: String::new(),
            reason: String::new(),
            opened_at: at(0),
            due_at: at(0),
            expires_at: at(i64::from(number)),
        });
    }
    assert_eq!(state.recovery_case_ids.len(), 1);
    state.put_session(&session(1, 10));
    state.put_entry(&entry());
    assert!(state.drop_account(id(1)) && !state.drop_account(id(1)));
    assert_eq!(state.filled(), [""; 0]);
}

#[test]
fn a_workspace_goes_with_all_that_is_in_it() {
    let mut state = State::default();
    let mut workspace = Workspace::new(id(1), "w", at(0));
    workspace.personal_of = Some(id(1));
    state.put_workspace(&workspace);
    for number in [1, 2] {
        state.put_project(&Project::new(id(number), id(1), format!("p{number}"), at(0)));
    }
    state.put_membership(&Membership { workspace: id(1), account: id(1), role: Role::Admin, since: at(0) });
    let (workspace, project, account) = (id(1), id(1), id(1));
    state.put_project_membership(&ProjectMembership { workspace, project, account, role: ProjectRole::None });
    state.put_entry(&Entry { account: id(2), ..entry() });
    let (name, permissions, scopes) = (String::new(), BTreeSet::new(), BTreeSet::new());
    state.put_role(id(1), &RoleDefinition { id: id(1), name, permissions, scopes });
    for token in [1, 2] {
        state.put_invitation(&Invitation {
            id: id(1),
            workspace: id(1),
            email: email("guest@example.com"),
            role: Role::Viewer,
            projects: BTreeMap::new(),
            token: TokenDigest([token; 32]),
            invited_by: id(1),
            created_at: at(0),
            sent_at: at(0),
            expires_at: at(i64::from(token)),
        });
    }
    for holder in [1, 2] {
        state.put_key(&key(KeyKind::Service(id(holder))));
    }
    let (digest, secret) = (KeyDigest::from_bytes([1; 32]), SecretId::from_bits(1));
    let (key, shown_to) = (id(1), id(1));
    state.put_secret(&KeySecret { id: secret, key, digest, shown_to, created_at: at(0), ends_at: None });
    let limits = fill_ledger(&mut state);
    assert!(state.drop_project(id(2)) && !state.limits.contains_key(&limits));
    assert!(state.drop_workspace(id(1)) && !state.drop_workspace(id(1)));
    assert_eq!(state.filled(), [""; 0]);
}

/// Gives the workspace a pool, holds, and a limit of its second project, whose id is answered.
fn fill_ledger(state: &mut State) -> LimitId {
    let pool = Limit::pool(id(1));
    let of = Limited::Spender(id(2), Spender::Key(id(1)));
    let limit = Limit { id: id(2), of, period: Period::Day, ..pool };
    for (number, limit) in [(1, pool), (2, limit)] {
        state.put_limit(&limit);
        state.put_limit(&Limit { amount: Credits::from_millionths(5), ..limit });
        state.meters.insert((limit.id, Day::FIRST), Meter::default());
        state.meters.insert((limit.id, Day::LAST), Meter::default());
        let Limit { workspace, of, period, amount, id: limit, .. } = limit;
        for number in [number, number + 10] {
            let (day, used, at) = (Day::FIRST, Credits::ZERO, at(0));
            let alert =
                Alert { id: id(number), workspace, limit, of, period, day, percent: 50, amount, used, at };
            state.put_alert(&alert);
            state.reopen_alert(alert.id);
        }
    }
    let hold = Hold {
        id: id(1),
        workspace: id(1),
        project: id(2),
        line: None,
        node: id(1),
        day: Day::FIRST,
        amount: Credits::ZERO,
        state: HoldState::Live,
        slice: true,
        epoch: 0,
        step: 0,
        recall: 1,
        answered: 0,
        expires_at: at(1),
    };
    state.put_hold(&hold);
    assert_eq!(state.recalled_holds.of(id(1)).collect::<Vec<_>>(), [hold.id]);
    for (number, state_of) in (1..).zip([HoldState::Closed, HoldState::Expired, HoldState::Live]) {
        state.put_hold(&Hold { id: id(number), state: state_of, expires_at: at(9), ..hold });
    }
    assert!(state.live_hold_ends.until(at(8), 9).is_empty(), "a hold ends twice");
    state.recalls.insert(id(1), 1);
    limit.id
}

fn key(kind: KeyKind) -> Key {
    Key {
        id: id(1),
        workspace: id(1),
        project: id(2),
        kind,
        name: DisplayName::parse("k").unwrap(),
        environment: "live".to_owned(),
        scopes: BTreeSet::new(),
        expires_at: None,
        allowlist: None,
        rate_limit: None,
        suspended: None,
        suspended_by_operator: None,
        revoked_at: None,
        created_by: id(1),
        created_at: at(0),
    }
}

#[test]
fn a_name_given_up_is_free_and_a_secret_dropped_is_gone() {
    let mut state = State::default();
    let mut account = account(1);
    state.put_account(&account);
    account.email = email("New@example.com");
    state.put_account(&account);
    let addresses: Vec<_> = state.addresses.keys().map(|address| &**address).collect();
    assert_eq!(addresses, ["new@example.com"]);

    let mut project = Project::new(id(1), id(1), "old", at(0));
    state.put_project(&project);
    project.name = "new".to_owned();
    state.put_project(&project);
    assert_eq!(state.project_names.keys().map(|(_, name)| &**name).collect::<Vec<_>>(), ["new"]);

    let mut state = State::default();
    let (key, shown_to) = (id::<KeyId>(1), id::<AccountId>(1));
    let (digest, secret) = (KeyDigest::from_bytes([1; 32]), SecretId::from_bits(u64::MAX));
    let row = KeySecret { id: secret, key, digest, shown_to, created_at: at(0), ends_at: None };
    state.put_secret(&row);
    state.put_secret(&KeySecret { ends_at: Some(at(1)), ..row });
    assert_eq!(state.secrets_of.of(key).collect::<Vec<_>>(), [secret]);
    assert!(state.drop_secret(secret));
    assert_eq!(state.filled(), [""; 0]);
}

#[test]
fn a_mail_put_off_is_due_once() {
    let mut state = State::default();
    let content = Sealed::from_bytes(vec![1]);
    let mail = OutboxRow { id: id::<MailId>(1), content, created_at: at(0), due_at: at(1), attempts: 0 };
    state.put_mail(&mail);
    state.put_mail(&OutboxRow { due_at: at(5), ..mail });
    assert!(state.mails_due.until(at(4), 9).is_empty());
    assert_eq!(state.mails_due.until(at(5), 9), [id(1)]);
    assert!(state.mails_due.before(at(5), 9).is_empty());
}
