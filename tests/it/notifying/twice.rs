//! News that come thrice, late and in random order.

use receiversim::Place;

use super::outside::{Outside, named};
use super::{alert, alerts, fails, with_two_versions};
use crate::checker::violations;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_that_come_thrice_and_out_of_order_are_one_trigger_and_one_resolve() {
    let outside = Outside::start().await;
    let variables = [outside.all(), named(&[("TIDEGATE_FAILPOINT", "thrice:on")])].concat();
    let (house, _upstreams) = with_two_versions(&variables).await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        failed.push(fails(&house).await);
    }
    // The change of the first version, and two for each of the others.
    let pages = outside.took(Place::PagerDuty, 1 + 2 * failed.len()).await;
    let is_told = |id: &String| outside.receivers.taken(Place::Slack).iter().any(|said| is_end(&said.text, id));
    super::until(|| failed.iter().all(is_told).then_some(())).await.expect("every end is told");
    house.quiet().await;
    let folder = house.stop();
    for id in &failed {
        assert_eq!(alerts(&pages, id), [alert("trigger", "error"), alert("resolve", "info")]);
        let ends = outside.receivers.heard(Place::Slack).iter().filter(|said| is_end(&said.text, id)).count();
        assert_eq!(ends, 1, "{id}");
    }
    assert_eq!(outside.receivers.heard(Place::PagerDuty).len(), pages.len());
    let ids: Vec<_> = outside.receivers.heard(Place::Webhook).iter().map(|told| told.body["id"].to_string()).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    outside.assert_good();
    assert_eq!(violations(folder.path()).await, Vec::<String>::new());
}

fn is_end(text: &str, id: &str) -> bool {
    text.contains("was rolled back") && text.contains(id)
}
