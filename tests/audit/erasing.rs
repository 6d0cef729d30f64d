//! Erasing a person: the chains stay whole, and the verifier says which values are gone.

use std::collections::BTreeMap;

use portcullis::access::Role;
use portcullis::audit::{ChainId, verify};
use portcullis::dashboard::Operator;
use portcullis::ports::Clock;
use portcullis::store::AuditFilter;
use portcullis::store::record::Action;

use crate::log::{Team, checkpoint, exported, seal};
use crate::world::{World, email, on_every_store};

on_every_store! {
    /// M25, B4: an account that is deleted leaves no address, no network address and no user agent in any log; the chains
    /// verify against the checkpoints of before; the report names what was erased
    async fn an_erased_person_leaves_the_chain_whole(world: World) {
        let team = Team::new(&world).await;
        // An operation of his, one on him, and a change of his address.
        world.dashboard.set_role(&team.hers, team.bob(), Role::Admin).await.map(drop).unwrap();
        let name = "Acme by Bob".parse().unwrap();
        world.dashboard.rename_workspace(&team.his, &name).await.unwrap();
        seal(&world.dashboard).await;
        let chains = [team.chain(), ChainId::Accounts];
        let mut checkpoints = Vec::new();
        for chain in chains {
            checkpoints.push(checkpoint(&world.dashboard, chain).await);
        }
        let before = exported(&world.dashboard, team.chain()).await;
        assert!(before.iter().any(|line| line.contains("bob@example.com")), "the invitation names him");
        let sequences: BTreeMap<String, u64> = before
            .iter()
            .map(|text| portcullis::audit::Line::parse(text.as_bytes()).unwrap())
            .map(|line| (line.entry.id.to_string(), line.seal.unwrap().sequence))
            .collect();

        let plans = BTreeMap::new();
        world.dashboard.delete_account(&team.bob.session, &plans).await.map(drop).unwrap();
        seal(&world.dashboard).await;

        for chain in chains {
            let lines = exported(&world.dashboard, chain).await;
            let report = verify(chain, &lines, &checkpoints);
            assert!(report.is_intact(), "{chain}: {:?}", report.finding);
            assert!(report.confirmed.is_some());
            assert!(lines.iter().all(|line| !line.contains("bob@example.com")), "{chain}");
            assert!(report.erased_values > 0, "{chain}");
            if chain == team.chain() {
                let fields: Vec<&str> = report.erased.iter().map(|erased| erased.field.as_str()).collect();
                for field in ["invited.email", "source.address", "source.user_agent"] {
                    assert!(fields.contains(&field), "{field} not among {fields:?}");
                }
                // Each one names its place; those from before the erasure have the place they had.
                for erased in &report.erased {
                    let known = sequences.get(&erased.id.to_string());
                    assert!(known.is_none_or(|known| erased.sequence == Some(*known)), "{erased:?}");
                }
            }
        }
        // What Ann did still says from where.
        let lines = exported(&world.dashboard, team.chain()).await;
        assert!(lines.iter().any(|line| line.contains("192.0.2.10")));
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let filter = AuditFilter { action: Some(Action::AccountDeleted), ..AuditFilter::default() };
        let page = operator.audit_log(ChainId::Accounts, &filter, 10).await.unwrap();
        assert_eq!(page.entries.len(), 1);
        assert!(page.entries[0].personal.is_empty());
        assert!(world.clock.now() >= page.entries[0].at);
    }

    /// Whoever was invited and never came can be erased by their address once they have an account; another person's
    /// invitation keeps its address
    async fn erasing_one_person_erases_nobody_else(world: World) {
        let team = Team::new(&world).await;
        let new = portcullis::dashboard::NewInvitation {
            email: email("carol@example.com"),
            role: Role::Viewer,
            projects: BTreeMap::new(),
        };
        world.dashboard.invite(&team.hers, &new).await.unwrap();
        world.dashboard.delete_account(&team.bob.session, &BTreeMap::new()).await.map(drop).unwrap();
        seal(&world.dashboard).await;
        let lines = exported(&world.dashboard, team.chain()).await;
        assert!(lines.iter().any(|line| line.contains("carol@example.com")));
        assert!(verify(team.chain(), &lines, &[]).is_intact());
        // Her pending invitation is not touched either.
        assert_eq!(world.dashboard.invitations(&team.hers).await.unwrap().len(), 1);
    }
}
