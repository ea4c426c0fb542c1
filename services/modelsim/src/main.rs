//! One model server, set up from flags and the environment.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    modelsim::command::run()
}
