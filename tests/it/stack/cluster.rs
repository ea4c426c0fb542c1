//! Three nats-servers instead of one, as `compose/nats/cluster.env` has it.

use super::containers::Form;
use super::judged;
use super::life::{Stack, users};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: `./x soak`"]
async fn with_three_nats_servers_any_one_may_be_gone() {
    let (stack, took) = Stack::up(Form::of_file("compose/nats/cluster.env"), &[]).await;
    println!("all healthy after {:.1} s", took.as_secs_f64());
    stack.policy(&judged::quick()).await;
    stack.model("good", &["modelsim-v1", "modelsim-v2"]).await;
    let asked = users("good", 40.0);
    for (number, server) in ["nats", "nats-2", "nats-3"].iter().enumerate() {
        stack.form.said(&["stop", server]);
        let version = ["2", "1"][number % 2];
        let id = stack.promote("good", version, "quick", &format!("without-{server}")).await;
        assert_eq!(stack.ended(&id).await, "completed", "without {server}");
        stack.form.said(&["start", server]);
        stack.until_ready().await;
    }
    let report = asked.stop().await;
    assert_eq!(report.failed_by_us, 0, "{:?}", report.failures);
}
