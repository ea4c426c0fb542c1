//! What production does to containers: two rollouts are live under load, one good, one that turns bad meanwhile. Whatever happens, users
//! notice nothing, the bad one is taken back, the good one ends well, one page goes out, and everything recovers without hands.

mod deeds;
mod story;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use receiversim::{Mood, Receivers};

use super::SERVICES;
use super::life::Stack;
use deeds::Deed;
use story::{Fault, Row};

/// So long a thing is dead, stands still or is cut off.
const LONG: u64 = 30;

/// Those of `./x test`: what is not seen without containers.
pub(super) fn telling() -> [Fault; 3] {
    [
        Fault::new("router-a cut off beyond its lease", 18, Deed::Cut("router-a")),
        Fault::new("nats emptied", 1, Deed::Emptied),
        Fault::new("the whole stack down and up", 1, Deed::DownAndUp),
    ]
}

/// All of them.
fn all() -> Vec<Fault> {
    let mut faults = Vec::new();
    for service in SERVICES.into_iter().filter(|service| *service != "router-b") {
        faults.push(Fault::new(format!("{service} killed"), 0, Deed::Killed(service)));
        faults.push(Fault::new(format!("{service} stands still for 30 s"), LONG, Deed::Paused(service)));
        if service != "router-a" {
            faults.push(Fault::new(format!("{service} cut off for 30 s"), LONG, Deed::Cut(service)));
        }
    }
    let answers = |status, retry_after| Mood::Answers { status, retry_after, times: u32::MAX };
    faults.extend([
        Fault::new("nats killed", 0, Deed::Killed("nats")),
        Fault::new("postgres killed", 0, Deed::Killed("postgres")),
        Fault::new("postgres stands still for 20 s", 20, Deed::Paused("postgres")),
        Fault::new("prometheus gone for 20 s", 20, Deed::Gone("prometheus")),
        Fault::new("notifier gone through the whole rollback", LONG, Deed::Gone("notifier")),
        Fault::new("receivers answer 500", 15, Deed::Receivers(answers(500, None))),
        Fault::new("receivers hang", 15, Deed::Receivers(Mood::Hangs)),
        Fault::new("receivers answer 429", 15, Deed::Receivers(answers(429, Some(5)))),
        Fault::new("three stage-schedulers, then one", 15, Deed::Scaled("stage-scheduler")),
    ]);
    faults.extend(telling());
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half an hour: `./x soak`; `TIDEGATE_FAULT` names one fault, or a part of its name"]
async fn whatever_happens_to_containers_costs_users_nothing_and_the_bad_one_is_taken_back() {
    let (stack, receivers, _) = Stack::telling().await;
    let wanted = std::env::var("TIDEGATE_FAULT").unwrap_or_default();
    let faults: Vec<_> = all().into_iter().filter(|fault| fault.name.contains(&wanted)).collect();
    assert!(!faults.is_empty(), "no fault is called {wanted}");
    outlived(&stack, &receivers, &faults).await;
    nothing_is_wrong(&stack).await;
}

/// One after the other.
#[expect(clippy::print_stdout, reason = "the table is what a run has to say")]
pub(super) async fn outlived(stack: &Stack, receivers: &Receivers, faults: &[Fault]) {
    stack.policy(&story::policy()).await;
    println!("{}", Row::HEAD);
    let mut failed = Vec::new();
    for fault in faults {
        // One that fails does not hide what becomes of the others.
        match AssertUnwindSafe(fault.outlived_by(stack, receivers)).catch_unwind().await {
            Ok(row) => println!("{row}"),
            Err(_) => {
                println!("{:<40}  FAILED", fault.name);
                failed.push(&fault.name);
                // It may be over already.
                let _ = AssertUnwindSafe(fault.ended(stack, receivers)).catch_unwind().await;
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Everything is ended and read.
pub(super) async fn nothing_is_wrong(stack: &Stack) {
    let parked = stack.read("/v1/parked").await;
    assert_eq!(parked["items"], serde_json::json!([]), "{parked}");
    let wrong = stack.violations().await;
    stack.tell("everything was stopped and read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
