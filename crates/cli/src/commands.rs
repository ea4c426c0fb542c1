//! What people ask for, one module each. A command asks, composes text, and prints it once.

use std::path::Path;

use anyhow::Context as _;
use rollout::Policy;
use serde_json::Value;

pub(crate) mod history;
pub(crate) mod models;
pub(crate) mod observe;
pub(crate) mod parked;
pub(crate) mod policies;
pub(crate) mod promote;
pub(crate) mod replay;
pub(crate) mod rollouts;
mod say;
pub(crate) mod show;
pub(crate) mod versions;

pub(crate) use say::{say, take_back};

/// A policy as it is sent: the name of one that the server knows, or the whole of a file that was checked here.
fn policy_of(name_or_file: &str) -> anyhow::Result<Value> {
    let path = Path::new(name_or_file);
    let is_named_so = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
    if !is_named_so && !name_or_file.contains('/') && !path.is_file() {
        return Ok(Value::from(name_or_file));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read the policy {name_or_file}"))?;
    let policy = Policy::from_yaml(&text).with_context(|| format!("the policy {name_or_file} is refused"))?;
    serde_json::to_value(&policy).context("can't write the policy as JSON")
}
