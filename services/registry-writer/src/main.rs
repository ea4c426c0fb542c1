//! registry-writer as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run(registry_writer::serve)
}
