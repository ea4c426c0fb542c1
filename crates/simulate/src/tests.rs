use rollout::{Plan, Policy};

use crate::{Effect, End, Simulated, Traffic, run};

fn plan(preset: &str) -> Plan {
    Policy::from_yaml(Policy::preset(preset).unwrap()).unwrap().plan().unwrap()
}

fn runs(preset: &str, effect: &Effect, count: u64) -> Vec<Simulated> {
    let (plan, traffic) = (plan(preset), Traffic::default());
    (0..count).map(|number| run(&plan, &traffic, effect, number)).collect()
}

#[test]
fn speed() {
    for (effect, count) in [(Effect::default(), 40), (Effect { errors: 5.0, ..Effect::default() }, 40)] {
        let start = std::time::Instant::now();
        let found = runs("agent-default", &effect, count);
        let ms = start.elapsed().as_secs_f64() * 1000.0 / count as f64;
        let back: Vec<f64> = found.iter().filter(|one| one.end == End::RolledBack).map(|one| one.seconds).collect();
        println!("{ms} ms each; back {} of {count}: {back:?}; {:?}", back.len(), found.first());
        println!("{:?}", found.iter().map(|one| (one.end, one.steps.clone())).take(12).collect::<Vec<_>>());
    }
}
