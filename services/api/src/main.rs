//! api as a process of its own, on `TIDEGATE_LISTEN` (default 127.0.0.1:7070).

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::API, api::serve)
}
