//! One piece of work: reserve, extend, settle, give back.

use std::time::Duration;

use portcullis::budget::{RefusedBy, SpendError};
use portcullis::money::{Amount, BadAmount, Cost, Credits};
use portcullis::ports::Clock as _;
use portcullis::spend::{Period, Spender};
use portcullis::store::record::LimitMode;

use crate::stage::{Stage, amount, cost, credits, fresh, refusal, refused};
use crate::world::{PASSWORD, World, on_every_store};

on_every_store! {
    /// M22: what is reserved is held, what is settled is spent, the rest goes back
    async fn what_work_costs_is_spent_and_the_rest_goes_back(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Month, 100, mode).await;
            let node = stage.node();
            let work = stage.reserve(&node, 30).await.unwrap();
            assert_eq!(work.amount(), credits(30));
            assert!(stage.stands(limit).await.held >= credits(30));
            let settled = work.settle(cost(12)).await.unwrap();
            assert_eq!((settled.cost, settled.beyond), (cost(12), Credits::ZERO));
            node.give_back().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.held, stands.left), (credits(12), credits(0), credits(88)));
            assert_eq!(stage.pool().await, (12, 0, 0));
            stage.check().await;
        }
    }

    async fn a_reservation_that_is_dropped_gives_everything_back(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            stage.limit(Period::Day, 100, mode).await;
            let node = stage.node();
            drop(stage.reserve(&node, 100).await.unwrap());
            // At once for this node, without a heartbeat.
            drop(stage.reserve(&node, 100).await.unwrap());
            node.give_back().await.unwrap();
            assert_eq!(stage.pool().await, (0, 0, 0));
            stage.check().await;
        }
    }

    async fn a_hold_is_extended_when_work_needs_more(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            stage.limit(Period::Week, 100, mode).await;
            let node = stage.node();
            let mut work = stage.reserve(&node, 40).await.unwrap();
            work.extend(amount(50)).await.unwrap();
            assert_eq!(work.amount(), credits(90));
            // Refused, it stays what it was.
            assert_eq!(refused(work.extend(amount(11)).await), (RefusedBy::Project, 10));
            assert_eq!(work.amount(), credits(90));
            work.extend(amount(10)).await.unwrap();
            work.settle(cost(100)).await.unwrap();
            node.give_back().await.unwrap();
            assert_eq!(stage.pool().await, (100, 0, 0));
            stage.check().await;
        }
    }

    /// ATK-SPEND-03: more than was reserved is booked in full, recorded as an overrun, and stops new reservations
    async fn a_cost_above_its_hold_is_recorded_and_stops_new_reservations(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Month, 100, mode).await;
            let node = stage.node();
            let work = stage.reserve(&node, 100).await.unwrap();
            let settled = work.settle(cost(130)).await.unwrap();
            assert_eq!(settled.beyond, credits(30));
            node.beat().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.overrun, stands.left), (credits(130), credits(30), credits(0)));
            assert_eq!(refused(stage.reserve(&node, 1).await), (RefusedBy::Project, 0));
            stage.check().await;
        }
    }

    /// ATK-SPEND-06: key, member, project and pool each refuse by themselves, whichever is the tightest
    async fn every_level_refuses_and_says_which_and_when_it_resets(world: World) {
        let stage = Stage::with(world, 50).await;
        let node = stage.node();
        let at = refusal(stage.reserve(&node, 51).await);
        assert_eq!((at.by, at.left, at.status(), at.resets_at), (RefusedBy::Pool, credits(50), 402, None));
        stage.limit(Period::Month, 40, LimitMode::Leased).await;
        let at = refusal(stage.reserve(&node, 41).await);
        assert_eq!((at.by, at.period, at.left, at.status()), (RefusedBy::Project, Period::Month, credits(40), 429));
        assert_eq!(at.resets_at.unwrap().to_string(), "2026-04-01T00:00:00Z");
        assert_eq!(at.retry_after("2026-03-31T23:59:59Z".parse().unwrap()), Some(Duration::from_secs(1)));
        stage.limit_of(stage.me(), Period::Day, 30, LimitMode::Leased).await;
        let at = refusal(stage.reserve(&node, 31).await);
        assert_eq!((at.by, at.left), (RefusedBy::Member, credits(30)));
        assert_eq!(at.resets_at.unwrap().to_string(), "2026-03-02T00:00:00Z");
        stage.limit_of(stage.me(), Period::Total, 20, LimitMode::Leased).await;
        let at = refusal(stage.reserve(&node, 21).await);
        assert_eq!((at.period, at.status(), at.resets_at), (Period::Total, 402, None));
        stage.reserve(&node, 20).await.unwrap().settle(cost(20)).await.unwrap();
        node.give_back().await.unwrap();
        stage.check().await;
    }

    /// M22: an experiment cannot eat production's budget
    async fn a_project_spends_within_its_own_limit_and_leaves_the_pool_to_others(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let name = "production".parse().unwrap();
        let production = stage.world.dashboard.create_project(&stage.member, &name, None).await.unwrap();
        stage.limit(Period::Month, 100, LimitMode::Leased).await;
        let node = stage.node();
        for _ in 0..10 {
            stage.reserve(&node, 10).await.unwrap().settle(cost(10)).await.unwrap();
        }
        assert_eq!(refused(stage.reserve(&node, 1).await), (RefusedBy::Project, 0));
        let purse = stage.world.dashboard.playground(&stage.member, production).await.unwrap();
        node.reserve(purse, amount(900)).await.unwrap().settle(cost(900)).await.unwrap();
        node.give_back().await.unwrap();
        assert_eq!(stage.pool().await, (1_000, 0, 0));
        stage.check().await;
    }

    /// ATK-SPEND-05: what is reserved before midnight is charged to that day, whenever it is settled
    async fn a_settlement_is_charged_to_the_period_of_its_reservation(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Day, 100, mode).await;
            let node = stage.node();
            // 23:59:59 of the first of March.
            stage.world.clock.advance(Duration::from_secs(12 * 3_600 - 1));
            let work = stage.reserve(&node, 60).await.unwrap();
            node.beat().await.unwrap();
            stage.world.clock.advance(Duration::from_secs(2));
            node.beat().await.unwrap();
            // The new day has all of its own budget.
            let next = stage.reserve(&node, 100).await.unwrap();
            work.settle(cost(60)).await.unwrap();
            node.beat().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.held), (credits(0), credits(100)), "{mode:?}");
            next.settle(cost(100)).await.unwrap();
            node.give_back().await.unwrap();
            assert_eq!(stage.stands(limit).await.settled, credits(100));
            assert_eq!(stage.pool().await, (160, 0, 0));
            stage.check().await;
        }
    }

    /// ATK-SPEND-05: a clock that steps back finds the day that it left, with all that was spent in it
    async fn a_clock_set_back_gives_no_period_two_budgets(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            stage.limit(Period::Day, 100, mode).await;
            let day = Duration::from_secs(24 * 3_600);
            let node = stage.node();
            // Taken now: a session does not last that long.
            let mut purses = Vec::new();
            for _ in 0..4 {
                purses.push(stage.purse().await);
            }
            for _ in 0..2 {
                let purse = purses.pop().unwrap();
                node.reserve(purse, amount(100)).await.unwrap().settle(cost(100)).await.unwrap();
                node.beat().await.unwrap();
                stage.world.clock.advance(day);
                node.beat().await.unwrap();
            }
            for _ in 0..2 {
                let back = stage.world.clock.now() - jiff::SignedDuration::from_hours(24);
                stage.world.clock.set_wall(back);
                node.beat().await.unwrap();
                let answer = node.reserve(purses.pop().unwrap(), amount(1)).await;
                assert_eq!(refused(answer), (RefusedBy::Project, 0), "{mode:?}");
            }
            node.give_back().await.unwrap();
            let stage = Stage { person: stage.world.sign_in(&stage.person.email, PASSWORD).await, ..stage };
            let member = stage.world.at_home(&stage.person).await;
            let stage = Stage { member, ..stage };
            assert_eq!(stage.pool().await, (200, 0, 0));
            stage.check().await;
        }
    }

    /// ATK-SPEND-02, ASVS-5.0-1.4.2: sums at the limits of integers are refused, never wrapped
    async fn amounts_at_the_limits_of_integers_are_refused(world: World) {
        let most = portcullis::money::MAX_AMOUNT;
        for (millionths, why) in [
            (0, BadAmount::Zero),
            (-1, BadAmount::Negative),
            (i64::MIN, BadAmount::Negative),
            (i64::MAX, BadAmount::TooLarge),
            (most.millionths() + 1, BadAmount::TooLarge),
        ] {
            assert_eq!(Amount::new(credits(millionths)), Err(why));
        }
        assert_eq!(Cost::new(credits(-1)), Err(BadAmount::Negative));
        let stage = Stage::with(world, 1_000).await;
        let node = stage.node();
        assert_eq!(refused(stage.reserve(&node, most.millionths()).await), (RefusedBy::Pool, 1_000));
        // A limit of nothing lets nothing through.
        stage.limit(Period::Total, 0, LimitMode::Leased).await;
        assert_eq!(refused(stage.reserve(&node, 1).await), (RefusedBy::Project, 0));
        stage.limit(Period::Total, most.millionths(), LimitMode::Exact).await;
        // The largest cost of all is booked.
        let work = stage.reserve(&node, 1_000).await.unwrap();
        work.settle(Cost::new(most).unwrap()).await.unwrap();
        assert_eq!(refused(stage.reserve(&node, 1).await), (RefusedBy::Pool, 0));
        stage.check().await;
    }

    async fn a_reservation_of_a_workspace_that_is_gone_says_so(world: World) {
        let stage = Stage::with(world, 0).await;
        let dashboard = &stage.world.dashboard;
        let name = "team".parse().unwrap();
        let id = dashboard.create_workspace(&stage.person.session, &name).await.unwrap();
        let member = dashboard.enter(&stage.person.session, id).await.unwrap();
        let name = "app".parse().unwrap();
        let project = dashboard.create_project(&member, &name, None).await.unwrap();
        stage.operator.grant_credit(id, portcullis::dashboard::Grant::Purchase(credits(100)), "a").await.unwrap();
        let node = stage.node();
        let reserve = async || {
            let purse = dashboard.playground(&member, project).await.unwrap();
            node.reserve(purse, amount(10)).await
        };
        let (held, late) = (reserve().await.unwrap(), dashboard.playground(&member, project).await.unwrap());
        let _committed = dashboard.delete_workspace(&member).await.unwrap();
        held.settle(cost(10)).await.unwrap();
        node.beat().await.unwrap();
        assert!(matches!(node.reserve(late, amount(10)).await, Err(SpendError::Gone)));
        assert_eq!(node.holds(), 0);
    }

    /// ATK-SPEND-06: what a key spends counts against its own limit, its project's and the pool at once
    async fn spending_counts_against_all_levels_at_once(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let node = stage.node();
        let project = stage.limit(Period::Month, 500, LimitMode::Leased).await;
        stage.reserve(&node, 70).await.unwrap().settle(cost(70)).await.unwrap();
        node.beat().await.unwrap();
        // A limit that is set later counts what was spent in its period before.
        let own = stage.limit_of(stage.me(), Period::Month, 100, LimitMode::Leased).await;
        assert_eq!(stage.stands(own).await.settled, credits(70));
        node.beat().await.unwrap();
        assert_eq!(refused(stage.reserve(&node, 31).await), (RefusedBy::Member, 30));
        stage.reserve(&node, 30).await.unwrap().settle(cost(30)).await.unwrap();
        node.give_back().await.unwrap();
        for limit in [own, project] {
            assert_eq!(stage.stands(limit).await.settled, credits(100));
        }
        let view = stage.stands(own).await;
        assert!(matches!(view.spender, Some(Spender::Member(_))) && view.left == credits(0));
        assert_eq!(stage.pool().await, (100, 0, 0));
        stage.check().await;
    }
}
