//! traffic-updater as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::TRAFFIC_UPDATER, traffic_updater::serve)
}
