use super::*;

mod accepted;
mod arbitrary;
mod class;
mod queries;
mod refused;
mod resolved;

fn policy(text: &str) -> Policy {
    Policy::from_yaml(text).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(text: &str) -> Plan {
    policy(text).plan().unwrap()
}

fn preset(name: &str) -> Plan {
    plan(Policy::preset(name).expect("there is such a preset"))
}

fn refusal(text: &str) -> String {
    Policy::from_yaml(text).expect_err("refused").to_string()
}
