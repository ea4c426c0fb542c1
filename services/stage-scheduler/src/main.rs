//! stage-scheduler as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(stage_scheduler::serve)
}
