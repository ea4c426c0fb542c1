//! One model server, set up from flags and the environment.

use std::process::ExitCode;

fn main() -> ExitCode {
    modelsim::command::main()
}
