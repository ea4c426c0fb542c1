//! The command line of Tidegate. Called by the name of a service, through a link, it is that service: so an image holds all of them
//! in one file.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    tidegate::service(name).unwrap_or(tidegate::run)()
}
