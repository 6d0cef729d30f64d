//! The rules against an oracle: a second, naive telling of them over plain strings, which shares no code with the
//! rooms it checks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::error::Coded;
use crate::id::{Id as _, RoleId};

/// Name, `w` or `p` for its level, and the built-in roles that have it: `A`dmin, `D`eveloper, `V`iewer.
const PERMISSIONS: [(&str, char, &str); 24] = [
    ("workspace.read", 'w', "ADV"),
    ("workspace.manage", 'w', "A"),
    ("members.read", 'w', "AD"),
    ("members.invite", 'w', "A"),
    ("members.manage", 'w', "A"),
    ("roles.manage", 'w', "A"),
    ("policy.manage", 'w', "A"),
    ("billing.read", 'w', "A"),
    ("billing.manage", 'w', "A"),
    ("audit.read", 'w', "A"),
    ("projects.create", 'w', "A"),
    ("project.read", 'p', "ADV"),
    ("project.manage", 'p', "A"),
    ("keys.read", 'p', "AD"),
    ("keys.issue", 'p', "AD"),
    ("keys.service", 'p', "AD"),
    ("keys.manage", 'p', "A"),
    ("usage.read", 'p', "ADV"),
    ("playground.use", 'p', "AD"),
    ("catalogue.read", 'p', "ADV"),
    ("limits.manage", 'p', "A"),
    // The service's own.
    ("datasets.publish", 'p', "AD"),
    ("partners.read", 'w', "ADV"),
    ("partners.manage", 'w', "A"),
];
const SCOPES: [(&str, &str); 5] = [
    ("models.read", "ADV"),
    ("models.call", "AD"),
    ("models.train", "A"),
    ("models", "AD"),
    // Also a permission's name: neither grants the other.
    ("keys.manage", "ADV"),
];
/// What the one custom role has, at both levels.
const CUSTOM_PERMISSIONS: [&str; 5] =
    ["billing.read", "members.read", "keys.manage", "usage.read", "gone.permission"];
const CUSTOM_SCOPES: [&str; 3] = ["models.read", "models.train", "gone.scope"];

fn lowest(holders: &str) -> BuiltinRole {
    match holders {
        "ADV" => BuiltinRole::Viewer,
        "AD" => BuiltinRole::Developer,
        _ => BuiltinRole::Admin,
    }
}

fn level(of: char) -> Level {
    if of == 'w' { Level::Workspace } else { Level::Project }
}

/// The catalogue of the table above, its names declared in the order given.
fn catalogue_of<'a>(
    permissions: impl IntoIterator<Item = &'a (&'a str, char, &'a str)>,
    scopes: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
) -> Catalogue {
    let mut builder = Catalogue::builder();
    for (name, at, holders) in permissions {
        builder = builder.permission(name, level(*at), lowest(holders), "");
    }
    for (name, holders) in scopes {
        builder = builder.scope(name, Some(lowest(holders)), "");
    }
    builder.build().unwrap()
}

fn catalogue() -> Catalogue {
    catalogue_of(&PERMISSIONS[21..], &SCOPES)
}

fn permission(name: &str) -> Permission {
    Permission::parse(name).unwrap()
}

fn scope(name: &str) -> Scope {
    Scope::parse(name).unwrap()
}

fn role_id(n: u8) -> RoleId {
    RoleId::from_parts(jiff::Timestamp::UNIX_EPOCH, [n; 10])
}

/// The custom role that the book has, and one that it has not.
fn known() -> Role {
    Role::Custom(role_id(1))
}
fn missing() -> Role {
    Role::Custom(role_id(2))
}

fn book() -> RoleBook {
    RoleBook::from_iter([RoleDefinition {
        id: role_id(1),
        name: "Accountant".to_owned(),
        permissions: CUSTOM_PERMISSIONS.iter().map(|name| permission(name)).collect(),
        scopes: CUSTOM_SCOPES.iter().map(|name| scope(name)).collect(),
    }])
}

fn roles() -> [Role; 5] {
    [Role::Admin, Role::Developer, Role::Viewer, known(), missing()]
}

fn standings() -> Vec<Standing> {
    let mut projects = vec![None, Some(ProjectRole::None)];
    projects.extend(roles().map(|role| Some(ProjectRole::Is(role))));
    roles()
        .into_iter()
        .flat_map(|role| projects.iter().map(move |project| Standing::new(role).in_project(*project)))
        .collect()
}

/// Names in the catalogue, and some that are not.
fn questions() -> Vec<Question> {
    let mut questions: Vec<Question> =
        PERMISSIONS.iter().map(|(name, ..)| Question::Permission(permission(name))).collect();
    questions.extend(SCOPES.iter().map(|(name, _)| Question::Scope(scope(name))));
    for name in ["gone.permission", "workspace", "workspace.read.all", "models.read"] {
        questions.push(Question::Permission(permission(name)));
    }
    for name in ["gone.scope", "models.rea", "models.read.all", "members.invite"] {
        questions.push(Question::Scope(scope(name)));
    }
    questions
}

// The oracle: strings and letters only.

fn oracle_role_has(role: &str, is_scope: bool, name: &str) -> bool {
    let holders = if is_scope {
        SCOPES.iter().find(|(known, _)| *known == name).map(|(_, holders)| *holders)
    } else {
        PERMISSIONS.iter().find(|(known, ..)| *known == name).map(|(.., holders)| *holders)
    };
    let Some(holders) = holders else { return false };
    match role {
        "admin" => holders.contains('A'),
        "developer" => holders.contains('D'),
        "viewer" => holders.contains('V'),
        "custom" if is_scope => CUSTOM_SCOPES.contains(&name),
        "custom" => CUSTOM_PERMISSIONS.contains(&name),
        _ => false,
    }
}

fn oracle_allows(role: &str, in_project: Option<&str>, is_scope: bool, name: &str) -> bool {
    let of_workspace = !is_scope && PERMISSIONS.iter().any(|(known, at, _)| *known == name && *at == 'w');
    if of_workspace || role == "admin" {
        return oracle_role_has(role, is_scope, name);
    }
    match in_project {
        None => oracle_role_has(role, is_scope, name),
        Some("none") => false,
        Some(other) => oracle_role_has(other, is_scope, name),
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Developer => "developer",
        Role::Viewer => "viewer",
        role if role == known() => "custom",
        Role::Custom(_) => "missing",
    }
}

fn oracle(standing: &Standing, question: &Question) -> bool {
    let in_project = standing.project_role.map(|project| match project {
        ProjectRole::None => "none",
        ProjectRole::Is(role) => word(role),
    });
    match question {
        Question::Permission(name) => oracle_allows(word(standing.role), in_project, false, name.as_str()),
        Question::Scope(name) => oracle_allows(word(standing.role), in_project, true, name.as_str()),
    }
}

fn has(catalogue: &Catalogue, rights: &Rights, question: &Question) -> bool {
    match question {
        Question::Permission(name) => {
            catalogue.permission_bit(name).is_some_and(|bit| rights.permissions.contains(bit))
        }
        Question::Scope(name) => catalogue.scope_bit(name).is_some_and(|bit| rights.scopes.contains(bit)),
    }
}

/// ASVS-5.0-8.2.1, ATK-AUTHZ-06
#[test]
fn every_role_in_every_project_role_has_exactly_what_the_oracle_says() {
    let (catalogue, book) = (catalogue(), book());
    let (mut cells, mut allowed) = (0, 0);
    for standing in standings() {
        let rights = catalogue.rights(&standing, &book);
        for question in questions() {
            let expected = oracle(&standing, &question);
            let decision = catalogue.decide(&question, Some(&standing), &book);
            assert_eq!(decision.is_allowed(), expected, "{standing:?} {question}: {decision:?}");
            assert_eq!(has(&catalogue, &rights, &question), expected, "{standing:?} {question}");
            assert_eq!(decision.into_result().is_ok(), expected);
            cells += 1;
            allowed += usize::from(expected);
        }
    }
    assert_eq!(cells, 35 * 37);
    assert!(allowed > 300 && allowed < cells - 300, "{allowed}");
}

/// ASVS-5.0-8.2.1
#[test]
fn who_is_no_member_may_do_nothing() {
    for question in questions() {
        let denial = catalogue().decide(&question, None, &book()).into_result().unwrap_err();
        assert_eq!(denial.code(), "not_a_member");
        assert!(denial.hides_existence());
    }
}

proptest! {
    /// ATK-AUTHZ-05
    #[test]
    fn the_order_of_declarations_changes_no_answer(
        permissions in Just(PERMISSIONS[21..].to_vec()).prop_shuffle(),
        scopes in Just(SCOPES.to_vec()).prop_shuffle(),
        custom in Just(CUSTOM_PERMISSIONS.to_vec()).prop_shuffle(),
    ) {
        let catalogue = catalogue_of(&permissions, &scopes);
        let mut definition = book().get(role_id(1)).unwrap().clone();
        definition.permissions = custom.into_iter().map(permission).collect();
        let book = RoleBook::from_iter([definition]);
        for standing in standings() {
            for question in questions() {
                let decision = catalogue.decide(&question, Some(&standing), &book);
                prop_assert_eq!(decision.is_allowed(), oracle(&standing, &question));
            }
        }
    }

    /// ATK-AUTHZ-06
    #[test]
    fn a_project_role_reaches_neither_a_sibling_project_nor_the_workspace(
        role in 0..5_usize,
        roles_of in prop::collection::btree_map(0..4_u8, 0..6_usize, 0..4),
        asked in 0..4_u8,
    ) {
        let (catalogue, book) = (catalogue(), book());
        let role = roles()[role];
        let projects: BTreeMap<u8, ProjectRole> = roles_of
            .into_iter()
            .map(|(project, n)| (project, roles().get(n).map_or(ProjectRole::None, |role| ProjectRole::Is(*role))))
            .collect();
        let standing = Standing::new(role).in_project(projects.get(&asked).copied());
        let rights = catalogue.rights(&standing, &book);
        for question in questions() {
            prop_assert_eq!(has(&catalogue, &rights, &question), oracle(&standing, &question));
        }
        let workspace_wide = catalogue.rights(&Standing::new(role), &book);
        let at_workspace = |rights: &Rights| rights.permissions.difference(&catalogue.project_level());
        prop_assert_eq!(at_workspace(&rights), at_workspace(&workspace_wide));
        if !projects.contains_key(&asked) {
            prop_assert_eq!(rights, workspace_wide);
        }
    }
}

#[test]
fn admin_contains_developer_contains_viewer() {
    let (catalogue, book) = (catalogue(), book());
    let of = |role| catalogue.rights(&Standing::new(role), &book);
    for (greater, lesser) in [(Role::Admin, Role::Developer), (Role::Developer, Role::Viewer)] {
        assert_eq!(covers(&of(greater), &of(lesser)), Ok(()));
        assert!(covers(&of(lesser), &of(greater)).is_err());
    }
    assert_eq!(of(Role::Admin).permissions.len(), PERMISSIONS.len());
    assert_eq!(of(Role::Admin).scopes.len(), SCOPES.len());
}

#[test]
fn a_workspace_admin_cannot_be_lowered_in_a_project() {
    let (catalogue, book) = (catalogue(), book());
    let all = catalogue.rights(&Standing::new(Role::Admin), &book);
    for standing in standings().into_iter().filter(|standing| standing.role == Role::Admin) {
        assert_eq!(catalogue.rights(&standing, &book), all, "{standing:?}");
    }
}

#[test]
fn a_custom_role_without_a_definition_grants_nothing_and_says_so() {
    let (catalogue, book) = (catalogue(), book());
    assert!(catalogue.rights(&Standing::new(missing()), &book).is_empty());
    assert_eq!(catalogue.role_rights(missing(), &book), None);
    let ask = |standing| catalogue.decide(&permission("usage.read").into(), Some(&standing), &book).rule();
    assert_eq!(ask(Standing::new(missing())), Rule::UnknownRole);
    let developer = Standing::new(Role::Developer);
    assert_eq!(ask(developer.in_project(Some(ProjectRole::Is(missing())))), Rule::UnknownRole);
}

#[test]
fn each_decision_names_its_rule_and_the_role_that_decided() {
    let (catalogue, book) = (catalogue(), book());
    let developer = Standing::new(Role::Developer);
    let at = |project| developer.in_project(Some(project));
    let viewer = ProjectRole::Is(Role::Viewer);
    for (standing, name, rule, by) in [
        (developer, "keys.issue", "role_grants", Some(DecidedBy::Workspace(Role::Developer))),
        (developer, "billing.read", "role_lacks", Some(DecidedBy::Workspace(Role::Developer))),
        (at(viewer), "usage.read", "project_role_grants", Some(DecidedBy::Project(viewer))),
        (at(viewer), "keys.issue", "project_role_lacks", Some(DecidedBy::Project(viewer))),
        (
            at(ProjectRole::None),
            "usage.read",
            "no_access_to_project",
            Some(DecidedBy::Project(ProjectRole::None)),
        ),
        (at(viewer), "members.read", "role_grants", Some(DecidedBy::Workspace(Role::Developer))),
        (developer, "gone.permission", "unknown_name", None),
    ] {
        let decision = catalogue.decide(&permission(name).into(), Some(&standing), &book);
        assert_eq!((decision.rule().code(), decision.decided_by()), (rule, by), "{standing:?} {name}");
    }
}

/// The standing after a remedy was followed, or none if the remedy does not apply to it.
fn after(remedy: Remedy, standing: Option<&Standing>) -> Option<Standing> {
    match (remedy, standing) {
        (Remedy::WorkspaceRole(role), Some(standing)) => Some(Standing { role: role.into(), ..*standing }),
        (Remedy::WorkspaceRole(role), None) => Some(Standing::new(role.into())),
        (Remedy::ProjectRole(role), Some(standing)) => {
            Some(standing.in_project(Some(ProjectRole::Is(role.into()))))
        }
        (Remedy::NoProjectRole, Some(standing)) => Some(standing.in_project(None)),
        _ => None,
    }
}

#[test]
fn every_remedy_of_a_denial_would_allow_it_and_no_lesser_role_would() {
    let (catalogue, book) = (catalogue(), book());
    let asked = standings().into_iter().map(Some).chain([None]);
    for (standing, question) in asked.flat_map(|s| questions().into_iter().map(move |q| (s, q))) {
        let decision = catalogue.decide(&question, standing.as_ref(), &book);
        let unknown = !has(&catalogue, &catalogue.role_rights(Role::Admin, &book).unwrap(), &question);
        assert_eq!(
            decision.what_would_allow().is_empty(),
            decision.is_allowed() || unknown,
            "{standing:?} {question}"
        );
        for remedy in decision.what_would_allow() {
            let then = after(*remedy, standing.as_ref()).expect("the remedy applies");
            assert!(oracle(&then, &question), "{standing:?} {question}: {remedy:?}");
            for lesser in BuiltinRole::ALL {
                let lesser = match *remedy {
                    Remedy::WorkspaceRole(role) if lesser < role => Remedy::WorkspaceRole(lesser),
                    Remedy::ProjectRole(role) if lesser < role => Remedy::ProjectRole(lesser),
                    _ => continue,
                };
                let then = after(lesser, standing.as_ref()).expect("the remedy applies");
                assert!(!oracle(&then, &question), "{standing:?} {question}: {lesser:?} would do");
            }
        }
    }
}

#[test]
fn a_denial_tells_the_operator_everything_and_the_person_what_is_theirs_to_know() {
    let (catalogue, book) = (catalogue(), book());
    let refuse = |name: &str, standing: Option<Standing>| {
        catalogue.decide(&permission(name).into(), standing.as_ref(), &book).into_result().unwrap_err()
    };
    let viewer = refuse("keys.issue", Some(Standing::new(Role::Viewer)));
    assert_eq!(
        viewer.for_operator(),
        "permission keys.issue refused: role_lacks (workspace role viewer); would be allowed by the role \
         developer in the workspace, or the role developer in the project"
    );
    assert!(viewer.to_string().contains("keys.issue") && viewer.to_string().contains("developer"));

    let hidden = Standing::new(Role::Viewer).in_project(Some(ProjectRole::None));
    let (stranger, shut_out) = (refuse("keys.issue", None), refuse("keys.issue", Some(hidden)));
    assert_eq!(stranger.to_string(), shut_out.to_string());
    for denial in [stranger, shut_out] {
        assert!(denial.hides_existence());
        assert!(!denial.to_string().contains("keys.issue"));
        assert!(denial.for_operator().contains("keys.issue"));
    }
    let unknown = refuse("gone.permission", Some(Standing::new(Role::Admin)));
    assert_eq!(unknown.to_string(), "this is not allowed");
}

#[test]
fn a_key_is_worth_its_scopes_as_far_as_its_authority_reaches_now() {
    let (catalogue, book) = (catalogue(), book());
    let all: Vec<Scope> = SCOPES.iter().map(|(name, _)| scope(name)).collect();
    let carried = catalogue.scopes(&all[..3]).set;
    let owner = |role| KeyAuthority::Personal(Some(catalogue.rights(&Standing::new(role), &book)));
    let worth = |authority| {
        let names = catalogue.scope_names(&key_worth(&carried, authority));
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(worth(owner(Role::Admin)), ["models.call", "models.read", "models.train"]);
    assert_eq!(worth(owner(Role::Developer)), ["models.call", "models.read"]);
    assert_eq!(worth(owner(Role::Viewer)), ["models.read"]);
    assert_eq!(worth(owner(known())), ["models.read", "models.train"]);
    let shut_out = Standing::new(Role::Developer).in_project(Some(ProjectRole::None));
    assert!(worth(KeyAuthority::Personal(Some(catalogue.rights(&shut_out, &book)))).is_empty());
    assert!(worth(KeyAuthority::Personal(None)).is_empty());
    assert_eq!(worth(KeyAuthority::Service { ceiling: None }).len(), 3);
    let ceiling = Some(catalogue.scopes(&all[1..]).set);
    assert_eq!(worth(KeyAuthority::Service { ceiling }), ["models.call", "models.train"]);
    assert!(worth(KeyAuthority::Service { ceiling: Some(ScopeSet::EMPTY) }).is_empty());
}

#[test]
fn nobody_covers_a_holder_of_something_they_lack() {
    let (catalogue, book) = (catalogue(), book());
    let of = |role| catalogue.rights(&Standing::new(role), &book);
    let lacking = covers(&of(Role::Developer), &of(known())).unwrap_err();
    assert_eq!(
        lacking.permissions(&catalogue),
        BTreeSet::from([permission("billing.read"), permission("keys.manage")])
    );
    assert_eq!(lacking.scopes(&catalogue), BTreeSet::from([scope("models.train")]));
    assert_eq!(lacking.code(), "actor_lacks_rights");
    // A scope alone is enough to lack.
    let only_scope = Rights { permissions: PermissionSet::EMPTY, scopes: of(Role::Admin).scopes };
    assert!(covers(&of(Role::Developer), &only_scope).is_err());
    assert_eq!(covers(&Rights::NONE, &Rights::NONE), Ok(()));
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["repo", "read", "models", "a", "b-c", "d_1"]);
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.join("."))
}

/// A text, and one of the tricks by which it might pass for another.
fn tricks() -> impl Strategy<Value = String> {
    (texts(), 0..12_u8).prop_map(|(text, trick)| match trick {
        0 => text.to_uppercase(),
        1 => format!(" {text}"),
        2 => format!("{text}\n"),
        3 => format!("{text}.*"),
        4 => "*".to_owned(),
        5 => format!("{text}."),
        6 => text.replace('.', ":"),
        7 => text.split('.').next().unwrap_or("").to_owned(),
        8 => format!("{text}.read"),
        9 => text[..text.len() - 1].to_owned(),
        10 => text.replace('.', ""),
        _ => text,
    })
}

proptest! {
    /// ATK-KEY-13
    #[test]
    fn a_scope_is_held_exactly_if_its_very_text_was_declared_and_granted(
        declared in prop::collection::btree_set(texts(), 1..12),
        granted in prop::collection::btree_set(tricks(), 0..12),
        asked in prop::collection::btree_set(tricks(), 1..24),
    ) {
        let catalogue =
            declared.iter().fold(Catalogue::builder(), |b, name| b.scope(name, None, "")).build().unwrap();
        let parsed: Vec<Scope> = granted.iter().filter_map(|text| Scope::parse(text).ok()).collect();
        let compiled = catalogue.scopes(&parsed);
        let expected: BTreeSet<String> = declared.intersection(&granted).cloned().collect();
        let held: BTreeSet<String> =
            catalogue.scope_names(&compiled.set).iter().map(ToString::to_string).collect();
        prop_assert_eq!(&held, &expected);
        prop_assert_eq!(compiled.unknown.len(), parsed.len() - expected.len());
        for text in asked.iter().chain(&declared) {
            let bit = Scope::parse(text).ok().and_then(|name| catalogue.scope_bit(&name));
            prop_assert_eq!(bit.is_some(), declared.contains(text), "{:?}", text);
            prop_assert_eq!(bit.is_some_and(|bit| compiled.set.contains(bit)), expected.contains(text));
        }
    }
}

#[test]
fn two_hundred_and_fifty_six_names_fit_and_one_more_does_not() {
    let build = |permissions: usize, scopes: usize| {
        let mut builder = Catalogue::builder();
        for n in 0..permissions {
            builder = builder.permission(&format!("own.p{n}"), Level::Project, BuiltinRole::Viewer, "");
        }
        for n in 0..scopes {
            builder = builder.scope(&format!("own.s{n}"), None, "");
        }
        builder.build()
    };
    let full = build(256 - 21, 256).unwrap();
    let developer = full.rights(&Standing::new(Role::Developer), &RoleBook::new());
    assert_eq!(developer.scopes.len(), 256);
    let last = full.permission_bit(&permission("own.p234")).unwrap();
    assert!(developer.permissions.contains(last));
    let too_many = |kind| CatalogueError::TooMany { kind, count: 257 };
    assert_eq!(build(256 - 20, 0).unwrap_err(), too_many(NameKind::Permission));
    assert_eq!(build(0, 257).unwrap_err(), too_many(NameKind::Scope));
}

#[test]
fn declarations_that_cannot_stand_are_refused() {
    let (viewer, project) = (BuiltinRole::Viewer, Level::Project);
    let code = |builder: CatalogueBuilder| builder.build().unwrap_err().code();
    let new = Catalogue::builder;
    let own = || new().permission("own.read", project, viewer, "").scope("own.use", None, "");
    assert_eq!(code(own().permission("own.read", project, viewer, "")), "catalogue_duplicate_name");
    assert_eq!(code(own().scope("own.use", None, "")), "catalogue_duplicate_name");
    assert_eq!(code(new().permission("billing.read", project, viewer, "")), "catalogue_builtin_redefined");
    assert_eq!(code(own().rename_permission("billing.read", "own.read")), "catalogue_builtin_redefined");
    assert_eq!(code(new().permission("own.*", project, viewer, "")), "catalogue_malformed_name");
    assert_eq!(code(new().scope("Own.use", None, "")), "catalogue_malformed_name");
    assert_eq!(code(own().rename_scope("old use", "own.use")), "catalogue_malformed_name");
    assert_eq!(code(own().rename_scope("old.use", "gone.use")), "catalogue_renamed_to_unknown");
    assert_eq!(code(own().rename_scope("old.use", "own.read")), "catalogue_renamed_to_unknown");
    assert_eq!(code(own().rename_permission("old.read", "own.use")), "catalogue_renamed_to_unknown");
    assert_eq!(
        code(own().rename_scope("a", "b").rename_scope("b", "a")),
        "catalogue_renamed_to_unknown",
        "a circle"
    );
    assert_eq!(
        code(own().scope("old.use", None, "").rename_scope("old.use", "own.use")),
        "catalogue_renamed_and_declared"
    );
    assert_eq!(
        code(own().rename_scope("old.use", "own.use").rename_scope("old.use", "own.use")),
        "catalogue_duplicate_name"
    );
}

#[test]
fn a_renamed_name_means_what_its_new_name_means() {
    let catalogue = Catalogue::builder()
        .permission("datasets.publish", Level::Project, BuiltinRole::Admin, "")
        .scope("models.call", None, "")
        .rename_permission("data.publish", "datasets.publish")
        .rename_permission("team.invite", "members.invite")
        .rename_scope("llm.call", "model.call")
        .rename_scope("model.call", "models.call")
        .build()
        .unwrap();
    let old = [permission("data.publish"), permission("team.invite")];
    let compiled = catalogue.permissions(&old);
    assert!(compiled.unknown.is_empty());
    assert_eq!(
        catalogue.permission_names(&compiled.set),
        BTreeSet::from([permission("datasets.publish"), Permission::MEMBERS_INVITE])
    );
    for name in ["llm.call", "model.call"] {
        assert_eq!(catalogue.scope_bit(&scope(name)), catalogue.scope_bit(&scope("models.call")));
    }
    // A role that was stored under old names.
    let stored = RoleDefinition {
        id: role_id(1),
        name: "Publisher".to_owned(),
        permissions: old.into_iter().collect(),
        scopes: BTreeSet::from([scope("llm.call")]),
    };
    let stored: RoleDefinition = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
    let book = RoleBook::from_iter([stored]);
    let standing = Standing::new(known());
    for question in [Question::from(permission("datasets.publish")), scope("models.call").into()] {
        assert!(catalogue.decide(&question, Some(&standing), &book).is_allowed());
    }
}

#[test]
fn a_removed_name_still_in_use_stops_the_start() {
    let catalogue = catalogue();
    let stored = [permission("billing.read"), permission("gone.permission"), permission("gone.permission")];
    let scopes = [scope("models.read"), scope("gone.scope")];
    let error = catalogue.check_in_use(&stored, &scopes).unwrap_err();
    assert_eq!(error.permissions(), &BTreeSet::from([permission("gone.permission")]));
    assert_eq!(error.scopes(), &BTreeSet::from([scope("gone.scope")]));
    assert!(error.to_string().contains("gone.permission") && error.to_string().contains("gone.scope"));
    assert_eq!(catalogue.check_in_use(&stored[..1], &scopes[..1]), Ok(()));

    let mapped =
        Catalogue::builder().scope("models.read", None, "").rename_scope("gone.scope", "models.read").build();
    assert_eq!(mapped.unwrap().check_in_use(&stored[..1], &scopes), Ok(()));
}

/// ASVS-5.0-8.1.1
#[test]
fn the_documented_role_table_is_the_one_in_force() {
    let document = include_str!("../../docs/roles.md");
    let table = Catalogue::builder().build().unwrap().role_table();
    let documented = document.split("<!-- generated -->\n").nth(1);
    assert_eq!(documented, Some(table.as_str()), "docs/roles.md; the table in force is:\n{table}");
}

#[test]
fn a_role_table_lists_scopes_and_a_description_cannot_break_it() {
    let table =
        Catalogue::builder().scope("models.read", None, "See | read\nmodels").build().unwrap().role_table();
    assert!(table.ends_with("| `models.read` | | yes | yes | See \\| read models |\n"), "{table}");
}
