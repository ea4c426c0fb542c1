//! deployer as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::DEPLOYER, deployer::serve)
}
