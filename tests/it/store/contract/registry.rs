//! Models, versions, policies, and the history of promotions.

use super::*;
use rollout::PolicyName;
use store::{PolicyRow, PromotionRow};

fn status(text: &str, from: &str, status: &'static str, traffic_pct: f64) -> Change {
    Change::Status {
        tenant: tenant(),
        model: model("m"),
        version: version(text),
        from: from.to_owned(),
        status,
        traffic_pct,
        at: At(NOON.0 + 1),
    }
}

#[tokio::test]
async fn a_model_comes_back_exactly_and_keeps_its_match_for_itself() {
    with_store(async |store| {
        let row = model_row("m");
        done(&store, Change::Model(Box::new(row.clone()))).await;
        lost(&store, Change::Model(Box::new(row.clone()))).await;
        let mut thief = model_row("n");
        thief.match_key = row.match_key.clone();
        lost(&store, Change::Model(Box::new(thief))).await;
        done(&store, Change::Model(Box::new(model_row("n")))).await;
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().model(&tenant(), &model("m")).await.unwrap(), Some(row.clone()));
        assert_eq!(reader.rows().match_owner(&row.match_key).await.unwrap(), Some((tenant(), model("m"))));
        assert_eq!(reader.rows().match_owner("/nobody").await.unwrap(), None);
        assert_eq!(reader.rows().models(&tenant(), "", 10).await.unwrap(), [row, model_row("n")]);
        assert_eq!(reader.rows().models(&tenant(), "m", 10).await.unwrap(), [model_row("n")]);
    })
    .await;
}

#[tokio::test]
async fn a_model_of_an_unknown_kind_is_refused() {
    with_store(async |store| {
        let mut row = model_row("m");
        row.kind = "robot".to_owned();
        assert_eq!(class(&store, Change::Model(Box::new(row))).await, Class::Never);
    })
    .await;
}

#[tokio::test]
async fn news_are_followed_only_forward() {
    with_store(async |store| {
        let followed = |generation| Change::Followed { tenant: tenant(), model: model("m"), generation };
        lost(&store, followed(1)).await;
        done(&store, Change::Model(Box::new(model_row("m")))).await;
        done(&store, followed(3)).await;
        done(&store, followed(3)).await;
        lost(&store, followed(2)).await;
        let row = store.reader().await.unwrap().rows().model(&tenant(), &model("m")).await.unwrap().unwrap();
        assert_eq!(row.generation, 3);
    })
    .await;
}

#[tokio::test]
async fn a_version_comes_back_exactly_and_is_registered_once() {
    with_store(async |store| {
        let row = version_row("m", "1.0", "published");
        done(&store, Change::Version(Box::new(row.clone()))).await;
        lost(&store, Change::Version(Box::new(VersionRow { upstream: "http://other".to_owned(), ..row.clone() })))
            .await;
        let mut later = version_row("m", "1.1", "published");
        (later.created_at, later.updated_at) = (At(NOON.0 + 1), At(NOON.0 + 1));
        (later.artifact_uri, later.metadata) = (None, serde_json::Value::Null);
        done(&store, Change::Version(Box::new(later.clone()))).await;
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().version(&tenant(), &model("m"), &version("1.0")).await.unwrap(), Some(row.clone()));
        let mut rows = reader.rows();
        let newest = (At(i64::MAX), "");
        assert_eq!(rows.versions(&tenant(), &model("m"), newest, 10).await.unwrap(), [later.clone(), row.clone()]);
        assert_eq!(rows.versions(&tenant(), &model("m"), newest, 1).await.unwrap(), [later.clone()]);
        assert_eq!(rows.versions(&tenant(), &model("m"), (later.created_at, "1.1"), 10).await.unwrap(), [row]);
    })
    .await;
}

#[tokio::test]
async fn a_model_has_at_most_one_active_version() {
    with_store(async |store| {
        for text in ["1.0", "1.1"] {
            done(&store, Change::Version(Box::new(version_row("m", text, "published")))).await;
        }
        done(&store, Change::Version(Box::new(version_row("other", "1.0", "active")))).await;
        done(&store, status("1.0", "published", "active", 100.0)).await;
        assert_eq!(class(&store, status("1.1", "published", "active", 100.0)).await, Class::Race);
        done(&store, status("1.0", "active", "retired", 0.0)).await;
        done(&store, status("1.1", "published", "active", 0.1 + 0.2)).await;
        let row = store
            .reader()
            .await
            .unwrap()
            .rows()
            .version(&tenant(), &model("m"), &version("1.1"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (row.status.as_str(), row.traffic_pct.to_bits(), row.updated_at),
            ("active", (0.1f64 + 0.2).to_bits(), At(NOON.0 + 1))
        );
    })
    .await;
}

#[tokio::test]
async fn an_unknown_status_is_refused_and_a_status_that_is_another_one_by_now_is_lost() {
    with_store(async |store| {
        done(&store, Change::Version(Box::new(version_row("m", "1.0", "published")))).await;
        assert_eq!(class(&store, status("1.0", "published", "asleep", 0.0)).await, Class::Never);
        lost(&store, status("9.9", "published", "active", 0.0)).await;
        lost(&store, status("1.0", "canary", "active", 0.0)).await;
    })
    .await;
}

#[tokio::test]
async fn the_latest_revision_of_a_policy_counts() {
    with_store(async |store| {
        let policy = |name: &str, revision| PolicyRow {
            tenant: tenant(),
            name: PolicyName::new(name).unwrap(),
            revision,
            spec: json!({ "steps": [{ "weight": 0.05 }], "note": "é" }),
            created_by: "ann".to_owned(),
            created_at: NOON,
        };
        for row in [policy("b", 1), policy("b", 2), policy("b", 10), policy("a", 1)] {
            done(&store, Change::Policy(Box::new(row))).await;
        }
        lost(&store, Change::Policy(Box::new(policy("b", 2)))).await;
        let mut reader = store.reader().await.unwrap();
        assert_eq!(
            reader.rows().policy(&tenant(), &PolicyName::new("b").unwrap()).await.unwrap(),
            Some(policy("b", 10))
        );
        let mut rows = reader.rows();
        assert_eq!(rows.policies(&tenant(), "", 10).await.unwrap(), [policy("a", 1), policy("b", 10)]);
        assert_eq!(rows.policies(&tenant(), "", 1).await.unwrap(), [policy("a", 1)]);
        assert_eq!(rows.policies(&tenant(), "a", 10).await.unwrap(), [policy("b", 10)]);
    })
    .await;
}

#[tokio::test]
async fn a_promotion_is_recorded_every_time() {
    with_store(async |store| {
        let row = PromotionRow {
            tenant: tenant(),
            name: model("m"),
            version: version("1.0"),
            from_stage: "canary".to_owned(),
            to_stage: "active".to_owned(),
            actor: "ann".to_owned(),
            rollout_id: id("a"),
            at: NOON,
        };
        done(&store, Change::Promotion(Box::new(row.clone()))).await;
        done(&store, Change::Promotion(Box::new(row))).await;
    })
    .await;
}
