//! Whether a nats-server writes through: it says so on its monitoring port alone.

use std::time::Duration;

use chassis::doctor::Finding;
use serde_json::Value;

const ANSWER_LIMIT: Duration = Duration::from_secs(3);
const REMEDY: &str = "set `jetstream { sync_interval: always }` on each server";

/// What the monitoring port at `url` says of it.
pub(super) async fn sync(url: Option<&str>) -> Finding {
    let Some(url) = url else {
        let remedy = "name its monitoring port: --nats-monitor http://HOST:8222";
        return Finding::warn("sync", "whether the nats-server writes through is not known", remedy);
    };
    match varz(url).await {
        Ok(varz) if varz["jetstream"]["config"]["sync_always"] == true => {
            Finding::ok("sync", "what the nats-server acknowledges survives power loss")
        }
        Ok(_) => Finding::fail("sync", "power loss takes what the nats-server acknowledged last", REMEDY),
        Err(cause) => {
            Finding::warn("sync", format!("the monitoring port {url} does not answer: {cause}"), "mend --nats-monitor")
        }
    }
}

async fn varz(url: &str) -> Result<Value, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_LIMIT).build()?;
    let answer = client.get(format!("{}/varz", url.trim_end_matches('/'))).send().await?;
    answer.error_for_status()?.json().await
}
