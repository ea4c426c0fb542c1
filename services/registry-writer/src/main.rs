//! registry-writer as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(&chassis::services::REGISTRY_WRITER, registry_writer::serve)
}
