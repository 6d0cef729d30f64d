//! The sealer: every entry gets one place, whoever seals.

use std::time::Duration;

use portcullis::audit::{ChainId, verify};
use portcullis::dashboard::Operator;

use crate::log::{Team, checkpoint, exported, seal};
use crate::world::{World, on_every_store};

on_every_store! {
    /// ASVS-5.0-16.4.2, B4: entries are chained in the order of their places, none is left out, and those not chained yet
    /// are told
    async fn every_entry_gets_its_place_and_the_rest_is_told(world: World) {
        let team = Team::new(&world).await;
        team.busy(&world.dashboard, 25).await;
        let lines = exported(&world.dashboard, team.chain()).await;
        let report = verify(team.chain(), &lines, &[]);
        let all = u64::try_from(lines.len()).unwrap();
        assert!(report.is_intact() && report.unsealed == all && report.head.sequence == 0, "{report:?}");
        let sealed = seal(&world.dashboard).await;
        assert!(sealed > all, "account events have a chain, too");
        assert_eq!(seal(&world.dashboard).await, 0, "nothing is sealed twice");
        team.busy(&world.dashboard, 3).await;
        let lines = exported(&world.dashboard, team.chain()).await;
        let report = verify(team.chain(), &lines, &[]);
        assert!(report.is_intact() && report.unsealed == 3 && report.head.sequence == all, "{report:?}");
        let accounts = exported(&world.dashboard, ChainId::Accounts).await;
        let report = verify(ChainId::Accounts, &accounts, &[]);
        assert!(report.is_intact() && report.head.sequence > 0 && report.unsealed == 0, "{report:?}");
    }

    /// B4: many sealers on two nodes, beside writers: one chain without a gap, and no entry twice
    async fn many_sealers_make_one_chain(world: World) {
        let team = Team::new(&world).await;
        let nodes = [world.dashboard.clone(), world.node()];
        let sealers: Vec<_> = (0..8)
            .map(|number| {
                let node = nodes[number % 2].clone();
                tokio::spawn(async move {
                    for _ in 0..20 {
                        node.seal_audit().await.unwrap();
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        team.busy(&world.dashboard, 200).await;
        for sealer in sealers {
            sealer.await.unwrap();
        }
        seal(&world.dashboard).await;
        let lines = exported(&world.dashboard, team.chain()).await;
        let report = verify(team.chain(), &lines, &[]);
        assert!(report.is_intact() && report.unsealed == 0, "{:?}", report.finding);
        assert_eq!(report.head.sequence, u64::try_from(lines.len()).unwrap());
        assert!(lines.len() >= 200);
    }

    /// B4: a checkpoint is signed under a key that the database never sees; a chain without entries has one, too
    async fn a_checkpoint_names_the_end_of_its_chain(world: World) {
        let team = Team::new(&world).await;
        let empty = checkpoint(&world.dashboard, team.chain()).await;
        assert_eq!(empty.head().sequence, 0);
        seal(&world.dashboard).await;
        let later = checkpoint(&world.dashboard, team.chain()).await;
        let lines = exported(&world.dashboard, team.chain()).await;
        assert_eq!(later.head().sequence, u64::try_from(lines.len()).unwrap());
        let report = verify(team.chain(), &lines, &[empty, later]);
        assert_eq!((report.checkpoints, report.confirmed), (2, Some(later.head().sequence)));
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let text = operator.audit_checkpoint(team.chain(), &crate::log::key()).await.unwrap();
        let other = portcullis::audit::CheckpointKey::new(7, [1; 32]);
        assert!(portcullis::audit::Checkpoint::open(&text, &[other]).is_err());
    }
}
