//! Wished routes: the fence that no stale wish gets over.

use super::*;

fn wish(generation: i64, from_generation: i64) -> Change {
    Change::Wish { route: Box::new(route("m", generation)), from_generation, at: NOON }
}

#[tokio::test]
async fn a_route_comes_back_exactly_as_it_was_wished() {
    with_store(async |store| {
        done(&store, wish(1, 0)).await;
        let mut back = route("m", 2);
        (back.rollout_id, back.lease_seconds, back.hang_after_ms, back.sample_ms, back.direction) =
            (None, None, None, None, Direction::Back);
        back.silent_after_ms = None;
        let mut other = route("a", 1);
        other.tenant = Tenant::new("acme").unwrap();
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().route(&tenant(), &model("m")).await.unwrap(), Some(route("m", 1)));
        done(&store, Change::Wish { route: Box::new(back.clone()), from_generation: 1, at: NOON }).await;
        done(&store, Change::Wish { route: Box::new(other.clone()), from_generation: 0, at: NOON }).await;
        assert_eq!(reader.rows().routes().await.unwrap(), [other, back]);
    })
    .await;
}

#[tokio::test]
async fn a_wish_from_another_generation_loses_and_changes_nothing() {
    with_store(async |store| {
        lost(&store, wish(6, 5)).await;
        done(&store, wish(1, 0)).await;
        lost(&store, wish(1, 0)).await;
        done(&store, wish(2, 1)).await;
        lost(&store, wish(3, 1)).await;
        lost(&store, wish(9, 8)).await;
        let there = store.reader().await.unwrap().rows().route(&tenant(), &model("m")).await.unwrap();
        assert_eq!(there, Some(route("m", 2)));
    })
    .await;
}

#[tokio::test]
async fn a_generation_is_never_negative() {
    with_store(async |store| assert_eq!(class(&store, wish(-1, 0)).await, Class::Never)).await;
}
