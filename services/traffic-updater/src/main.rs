//! traffic-updater as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(traffic_updater::serve)
}
