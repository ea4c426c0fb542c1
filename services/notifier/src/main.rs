//! notifier as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::NOTIFIER, notifier::serve_from_environment)
}
