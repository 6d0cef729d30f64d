//! Reading the log: who may, by what, page by page, and that nothing in it can be forged.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::audit::Line;
use portcullis::dashboard::{NewInvitation, WorkspaceError};
use portcullis::ports::Clock;
use portcullis::source::Source;
use portcullis::store::AuditFilter;
use portcullis::store::record::{Action, Actor, Target};

use crate::log::{Team, exported, seal};
use crate::world::{World, email, on_every_store};

on_every_store! {
    /// M25: the log is found by actor, target, action and time, alone and together, page by page, the latest first
    async fn the_log_is_found_by_actor_target_action_and_time(world: World) {
        let team = Team::new(&world).await;
        world.pass(Duration::from_secs(10));
        let middle = world.clock.now();
        team.busy(&world.dashboard, 5).await;
        world.dashboard.set_role(&team.hers, team.bob(), Role::Admin).await.map(drop).unwrap();
        world.pass(Duration::from_secs(10));
        let name = "By Bob".parse().unwrap();
        world.dashboard.rename_workspace(&team.his, &name).await.unwrap();

        let all = AuditFilter::default();
        let everything = world.dashboard.audit_log(&team.hers, &all, 1_000).await.unwrap();
        assert!(everything.next.is_none());
        assert!(everything.entries.is_sorted_by(|a, b| a.id > b.id), "the latest first");
        // Page by page it is the same.
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let filter = AuditFilter { before, ..all };
            let page = world.dashboard.audit_log(&team.hers, &filter, 3).await.unwrap();
            assert!(page.entries.len() <= 3);
            paged.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(paged, everything.entries);
        // Before and after the chain was sealed alike.
        seal(&world.dashboard).await;
        assert_eq!(world.dashboard.audit_log(&team.hers, &all, 1_000).await.unwrap(), everything);

        let bob = Actor::Account(team.bob());
        let target = Target::Account(team.bob());
        let renamed = Action::WorkspaceRenamed;
        let filters = [
            AuditFilter { actor: Some(team.bob()), ..all },
            AuditFilter { target: Some(target), ..all },
            AuditFilter { action: Some(renamed), ..all },
            AuditFilter { since: Some(middle), ..all },
            AuditFilter { until: Some(middle), ..all },
            AuditFilter { actor: Some(team.bob()), action: Some(renamed), since: Some(middle), ..all },
            AuditFilter { target: Some(target), until: Some(middle), ..all },
        ];
        for filter in filters {
            let found = world.dashboard.audit_log(&team.hers, &filter, 1_000).await.unwrap().entries;
            let expected: Vec<_> = everything
                .entries
                .iter()
                .filter(|entry| filter.actor.is_none() || entry.actor == bob)
                .filter(|entry| filter.target.is_none_or(|target| entry.target == target))
                .filter(|entry| filter.action.is_none_or(|action| entry.action == action.name()))
                .filter(|entry| filter.since.is_none_or(|since| entry.at >= since))
                .filter(|entry| filter.until.is_none_or(|until| entry.at < until))
                .cloned()
                .collect();
            assert!(!expected.is_empty() && expected.len() < everything.entries.len(), "{filter:?}");
            assert_eq!(found, expected, "{filter:?}");
        }
    }

    /// ASVS-5.0-8.2.1: reading and exporting the log is a permission
    async fn who_may_not_read_the_log_does_not(world: World) {
        let team = Team::new(&world).await;
        let filter = AuditFilter::default();
        let read = world.dashboard.audit_log(&team.his, &filter, 10).await;
        assert!(matches!(read, Err(WorkspaceError::Denied(_))), "{read:?}");
        let export = world.dashboard.export_audit(&team.his, 0, 10).await;
        assert!(matches!(export, Err(WorkspaceError::Denied(_))), "{export:?}");
        assert!(world.dashboard.export_audit(&team.hers, 0, 10).await.is_ok());
    }

    /// ASVS-5.0-16.2.1, ASVS-5.0-16.2.2, ATK-AUD-04: every entry says when (in UTC), who from the credential alone, what,
    /// to what, and from where
    async fn every_entry_says_who_what_when_and_from_where(world: World) {
        let team = Team::new(&world).await;
        world.dashboard.set_role(&team.hers, team.bob(), Role::Viewer).await.map(drop).unwrap();
        seal(&world.dashboard).await;
        for text in exported(&world.dashboard, team.chain()).await {
            let line = Line::parse(text.as_bytes()).unwrap();
            let entry = line.entry;
            assert_eq!(entry.actor.kind, "account");
            let actor = entry.actor.id.unwrap();
            assert!(actor == team.ann.session.account().to_string() || actor == team.bob().to_string());
            assert!(!entry.action.is_empty() && entry.target.id.is_some());
            let address = entry.personal.iter().find(|value| value.field == "source.address");
            assert_eq!(address.unwrap().opening.as_ref().unwrap().value, "192.0.2.10");
            assert!(text.contains("Z\""), "UTC");
        }
        let changed = AuditFilter { action: Some(Action::MemberRoleChanged), ..AuditFilter::default() };
        let page = world.dashboard.audit_log(&team.hers, &changed, 10).await.unwrap();
        let entry = &page.entries[0];
        assert_eq!(entry.before.as_ref().unwrap()["role"], "developer");
        assert_eq!(entry.after.as_ref().unwrap()["role"], "viewer");
    }

    /// ATK-AUD-03, ASVS-5.0-16.4.1: text from outside with line ends, escapes or a megabyte stays one capped line
    async fn text_from_outside_forges_no_line(world: World) {
        let ann = world.person("ann@example.com").await;
        let nasty = format!("x\r\n{{\"v\":1}}\u{1b}[31m\"\\{}", "y".repeat(1 << 20));
        let source = Source::from_address("192.0.2.10".parse().unwrap())
            .with_user_agent(&nasty)
            .with_request_id(&nasty);
        let activity = portcullis::dashboard::Activity::Person;
        let session = world.dashboard.session(ann.signed_in.token(), activity, &source).await.unwrap();
        let name = "A \"name\" \\ with {signs}".parse().unwrap();
        let workspace = world.dashboard.create_workspace(&session, &name).await.unwrap();
        let member = world.dashboard.enter(&session, workspace).await.unwrap();
        let new = NewInvitation {
            email: email("o'hara+tag@example.com"),
            role: Role::Viewer,
            projects: BTreeMap::new(),
        };
        world.dashboard.invite(&member, &new).await.unwrap();
        seal(&world.dashboard).await;
        let piece = world.dashboard.export_audit(&member, 0, 1_000).await.unwrap();
        let lines: Vec<&str> = piece.lines.lines().collect();
        assert!(lines.len() >= 2);
        for line in lines {
            let read = Line::parse(line.as_bytes()).unwrap();
            assert!(!line.contains('\u{1b}') && line.len() < 4_096, "{}", line.len());
            assert_eq!(read.to_json().unwrap(), line);
        }
    }

    /// A log of another workspace, or of one that is gone, is not there for a member; for the operator it is
    async fn the_log_of_a_deleted_workspace_stays(world: World) {
        let team = Team::new(&world).await;
        world.dashboard.delete_workspace(&team.hers).await.map(drop).unwrap();
        let gone = world.dashboard.export_audit(&team.hers, 0, 10).await;
        assert!(matches!(gone, Err(WorkspaceError::NotFound)), "{gone:?}");
        seal(&world.dashboard).await;
        let lines = exported(&world.dashboard, team.chain()).await;
        assert!(lines.iter().any(|line| line.contains("workspace.deleted")));
        assert!(portcullis::audit::verify(team.chain(), &lines, &[]).is_intact());
    }
}
