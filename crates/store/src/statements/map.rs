//! The statements, by owner. They are written once and compiled for each engine: the module that includes them names its
//! connection, its rows and its arguments, and has a dialect for the few words that differ.

pub(crate) mod chain;
pub(crate) mod changes;
pub(crate) mod chassis;
mod columns;
pub(crate) mod facts;
pub(crate) mod judging;
pub(crate) mod log;
pub(crate) mod notifying;
pub(crate) mod parking;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod rollouts;
pub(crate) mod safety;
pub(crate) mod serving;
pub(crate) mod standing;
pub(crate) mod sweeping;

use super::{Arguments, Connection, Engine, Row, dialect};
