//! router as a process of its own, on `TIDEGATE_ROUTER` (default 127.0.0.1:7080).

fn main() -> std::process::ExitCode {
    router::run()
}
