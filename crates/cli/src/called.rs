//! The services by the names of their binaries.

use std::process::ExitCode;

use chassis::services;

/// What a process does that is called by the name of a service; none where no service has it.
#[must_use]
pub fn service(name: &str) -> Option<fn() -> ExitCode> {
    Some(match name {
        "api" => || chassis::run(&services::API, api::serve),
        "registry-writer" => || chassis::run(&services::REGISTRY_WRITER, registry_writer::serve),
        "stage-scheduler" => || chassis::run(&services::STAGE_SCHEDULER, stage_scheduler::serve),
        "analyzer" => || chassis::run(&services::ANALYZER, analyzer::serve),
        "traffic-updater" => || chassis::run(&services::TRAFFIC_UPDATER, traffic_updater::serve),
        "deployer" => || chassis::run(&services::DEPLOYER, deployer::serve),
        "notifier" => || chassis::run(&services::NOTIFIER, notifier::serve_from_environment),
        "router" => router::run,
        "modelsim" => modelsim::command::main,
        _ => return None,
    })
}
