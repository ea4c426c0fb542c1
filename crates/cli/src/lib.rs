//! The command line: one binary to run Tidegate, to speak to one that runs, and to see it work.
//!
//! - `arguments`, `run`, `exit`, `screen`: what is typed, what it leads to, with which code it ends, how it is shown.
//! - `client`: the HTTP API with timeouts, and every failure as one clear line. Nothing else here opens a connection to it.
//! - `commands`: one module for each thing that people ask for; `follow`, `watch` and `progress`: a rollout while it moves.
//! - `lint`, `foreign`: policies, without a server, and those of others; `verify`: logs against their hashes, while it is stopped.
//! - `doctor`, `init`, `migrate`, `restore`, `setup`: what the distributed form meets over, looked at, made, and put back; `ready`: one
//!   of its processes.
//! - `demo`: two rollouts from beginning to end in one process, measured; `load` asks on its behalf, and by itself (`asking`).
//! - `embedded`, `up`: every service in one process; `alone`: the router in one of its own; `called`: each by its name.

mod alone;
mod arguments;
mod asking;
mod called;
mod client;
mod commands;
mod demo;
mod doctor;
pub mod embedded;
mod exit;
mod follow;
mod foreign;
mod init;
mod lint;
pub mod load;
mod migrate;
mod progress;
mod ready;
mod restore;
mod run;
mod screen;
mod setup;
mod simulate;
pub mod up;
mod verify;
mod watch;
mod words;

pub use called::service;
pub use run::run;
