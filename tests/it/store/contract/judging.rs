//! Ledger, state of an analysis, observations, baseline.

use super::*;
use store::{BaselineRow, Due, JudgeRow, ObservationRow, TickRow};

/// Numbers whose shortest text is long, and the ends of their range.
const AWKWARD: [f64; 6] = [0.1 + 0.2, 1.0 / 3.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, -1.797_693_134_862_315_5e308];

fn judge(name: &str, wake_at: Option<i64>) -> JudgeRow {
    JudgeRow {
        rollout_id: id(name),
        tenant: tenant(),
        model: model("m"),
        attempt: 2,
        tick: 5,
        request: json!({ "alpha": 0.05 }),
        state: json!({ "log_e": AWKWARD, "big": u64::MAX, "small": i64::MIN }),
        verdict: Some(json!({ "p": AWKWARD[1] })),
        wake_at: wake_at.map(At),
    }
}

fn written(row: JudgeRow, from: Option<(i64, i64)>) -> Change {
    Change::Judge { row: Box::new(row), from }
}

#[tokio::test]
async fn an_analysis_comes_back_to_the_last_bit() {
    with_store(async |store| {
        let row = judge("a", Some(9));
        done(&store, written(row.clone(), None)).await;
        let back = store.reader().await.unwrap().rows().judge(&id("a")).await.unwrap().unwrap();
        let bits: Vec<_> =
            back.state["log_e"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap().to_bits()).collect();
        assert_eq!(bits, AWKWARD.map(f64::to_bits));
        assert_eq!(back, row);
    })
    .await;
}

#[tokio::test]
async fn an_analysis_is_written_only_from_where_it_stands() {
    with_store(async |store| {
        lost(&store, written(judge("a", Some(9)), Some((2, 5)))).await;
        done(&store, written(judge("a", Some(9)), None)).await;
        lost(&store, written(judge("a", Some(9)), None)).await;
        let next = JudgeRow { tick: 6, verdict: None, ..judge("a", Some(10)) };
        done(&store, written(next.clone(), Some((2, 5)))).await;
        lost(&store, written(judge("a", Some(11)), Some((2, 5)))).await;
        lost(&store, written(judge("a", Some(11)), Some((1, 6)))).await;
        assert_eq!(store.reader().await.unwrap().rows().judge(&id("a")).await.unwrap(), Some(next));
    })
    .await;
}

#[tokio::test]
async fn due_ticks_come_in_order_and_end_with_their_analysis() {
    with_store(async |store| {
        for (name, wake_at) in
            [("late", Some(30)), ("early", Some(10)), ("over", None), ("ended", Some(5)), ("after", Some(40))]
        {
            done(&store, written(judge(name, wake_at), None)).await;
        }
        done(&store, Change::JudgeEnded(id("ended"))).await;
        let due = |name, wake_at| Due { rollout_id: id(name), version: 5, wake_at: At(wake_at) };
        assert_eq!(
            store.reader().await.unwrap().rows().due_ticks(At(40), 10).await.unwrap(),
            [due("early", 10), due("late", 30)]
        );
    })
    .await;
}

fn tick(arm: &'static str, tick: i64, row: serde_json::Value) -> TickRow {
    TickRow { rollout_id: id("a"), arm, tick, row }
}

#[tokio::test]
async fn the_ledger_is_written_once_and_read_in_order() {
    with_store(async |store| {
        let rows = [
            tick("candidate", 1, json!({ "x": 0.1 })),
            tick("stable", 1, json!({})),
            tick("candidate", 2, json!({})),
            tick("stable", 2, json!({})),
        ];
        for row in rows.iter().rev() {
            done(&store, Change::Tick(Box::new(row.clone()))).await;
        }
        lost(&store, Change::Tick(Box::new(tick("candidate", 1, json!({ "x": 2 }))))).await;
        assert_eq!(class(&store, Change::Tick(Box::new(tick("third", 1, json!({}))))).await, Class::Never);
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().ticks(&id("a"), (0, i64::MAX)).await.unwrap(), rows);
        assert_eq!(reader.rows().ticks(&id("a"), (1, i64::MAX)).await.unwrap(), rows[2..]);
        assert_eq!(reader.rows().ticks(&id("a"), (0, 1)).await.unwrap(), rows[..2]);
    })
    .await;
}

#[tokio::test]
async fn exposure_adds_the_ledger_up_by_arm_and_step() {
    with_store(async |store| {
        let row = |step: u32, k: f64, n: f64| {
            let counted = judge::Signal::Count { k, n };
            json!({ "step": step, "signals": { "error": counted, "latency": judge::Signal::Gauge { value: 7.0, n: None } } })
        };
        let rows = [
            tick("candidate", 1, row(0, 1.0, 10.0)),
            tick("candidate", 2, row(1, 0.5, 20.0)),
            tick("candidate", 3, json!({ "step": 1, "signals": {} })),
            tick("stable", 2, row(1, 2.0, 1e15)),
        ];
        for row in rows {
            done(&store, Change::Tick(Box::new(row))).await;
        }
        let mut reader = store.reader().await.unwrap();
        let arms = |candidate: (f64, f64), stable: (f64, f64)| vec![("candidate".to_owned(), candidate.0, candidate.1), ("stable".to_owned(), stable.0, stable.1)];
        assert_eq!(reader.rows().exposure(&id("a"), None).await.unwrap(), arms((30.0, 1.5), (1e15, 2.0)));
        assert_eq!(reader.rows().exposure(&id("a"), Some(1)).await.unwrap(), arms((20.0, 0.5), (1e15, 2.0)));
        assert_eq!(reader.rows().exposure(&id("a"), Some(7)).await.unwrap(), []);
        assert_eq!(reader.rows().exposure(&id("b"), None).await.unwrap(), []);
    })
    .await;
}

pub(super) fn observation(source: &str, sampled_at: i64) -> ObservationRow {
    ObservationRow {
        tenant: tenant(),
        model: model("m"),
        version: version("1.0"),
        source: source.to_owned(),
        generation: sampled_at,
        started_at: At(3),
        sampled_at: At(sampled_at),
        series: json!({ "error": { "k": AWKWARD[0], "at": sampled_at } }),
    }
}

#[tokio::test]
async fn an_observation_goes_only_forward_in_time() {
    with_store(async |store| {
        for (source, sampled_at) in [("r.1", 10), ("r.1", 12), ("r.1", 12), ("r.1", 11), ("api", 5)] {
            let mut row = observation(source, sampled_at);
            // What is late is settled all the same: it is not a race that is lost.
            row.series["round"] = json!(sampled_at);
            done(&store, Change::Observe(Box::new(row))).await;
        }
        let rows = store.reader().await.unwrap().rows().observations(&tenant(), &model("m")).await.unwrap();
        let kept = |source, at| {
            let mut row = observation(source, at);
            row.series["round"] = json!(at);
            row
        };
        assert_eq!(rows, [kept("api", 5), kept("r.1", 12)]);
    })
    .await;
}

pub(super) fn baseline(minute: i64, signals: serde_json::Value) -> BaselineRow {
    BaselineRow { tenant: tenant(), model: model("m"), version: version("1.0"), minute: At(minute), signals }
}

#[tokio::test]
async fn a_baseline_has_one_row_a_minute_in_order() {
    with_store(async |store| {
        for (minute, n) in [(120, 1), (60, 2), (120, 3), (0, 4)] {
            done(&store, Change::Baseline(Box::new(baseline(minute, json!({ "n": n }))))).await;
        }
        let rows = store
            .reader()
            .await
            .unwrap()
            .rows()
            .baselines((&tenant(), &model("m"), &version("1.0")), At(60))
            .await
            .unwrap();
        assert_eq!(rows, [baseline(60, json!({ "n": 2 })), baseline(120, json!({ "n": 3 }))]);
    })
    .await;
}
