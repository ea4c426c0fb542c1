//! stage-scheduler as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::STAGE_SCHEDULER, stage_scheduler::serve)
}
