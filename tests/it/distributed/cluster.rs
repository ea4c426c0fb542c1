//! Three nats-servers that keep everything thrice (F19): whoever of them leads dies or stands still, and the others go on.

use std::time::Duration;

use super::plant::{Plant, SETTINGS};
use super::{served, steps};
use crate::checker::Server;
use crate::house::eventually;
use crate::nats::Nats;
use crate::witness::Witness;
use servers::Postgres;

/// Longer than the others need to choose another leader, and than a client needs to notice that nobody answers.
const AWAY: Duration = Duration::from_secs(12);
/// Streams whose leaders are taken away, one after another.
const STREAMS: [&str; 2] = ["TG_LOOP", "KV_tg_route"];

/// Who leads a stream, once all three have all of it.
async fn leader(server: &Server, stream: &str) -> String {
    let leads = std::cell::OnceCell::new();
    eventually(&format!("{stream} is kept thrice"), async || {
        server.leader(stream).await.is_some_and(|name| leads.set(name).is_ok())
    })
    .await;
    leads.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f19_a_cluster_whose_leaders_die_or_stand_still_loses_nothing() {
    let servers = (Nats::cluster(), Postgres::start_with(SETTINGS));
    let (mut plant, witness) = (Plant::over(servers, 1, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let server = plant.server().await;
    for (candidate, is_killed) in [("2", true), ("1", false)] {
        let id = plant.promote(candidate, &steps(&[25, 50, 75], "2s")).await;
        for stream in STREAMS {
            let leads = leader(&server, stream).await;
            let leading = plant.nats.named(&leads);
            if is_killed {
                leading.kill();
                tokio::time::sleep(Duration::from_secs(2)).await;
                leading.start_again();
            } else {
                leading.signal("STOP");
                tokio::time::sleep(AWAY).await;
                leading.signal("CONT");
            }
        }
        let ended = plant.house.ended(&id).await;
        assert_eq!(ended["stage"], "completed", "{ended}");
        plant.house.until("/v1/models/reranker", |model| model["active"] == candidate).await;
    }
    for stream in STREAMS {
        leader(&server, stream).await;
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}
