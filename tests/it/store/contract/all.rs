//! The contract: the module that includes it has `with_store`, which runs a test on an empty database of its engine.

use super::*;

mod judging;
mod registry;
mod relaying;
mod rollouts;
mod routes;
mod serving;
mod stream;
mod sweeping;
