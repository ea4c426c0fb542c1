//! analyzer as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::ANALYZER, analyzer::serve)
}
