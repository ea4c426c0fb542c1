//! Docker Compose, and what it has started.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Of the containers, so that nobody else's stack on this machine is touched.
const PROJECT: &str = "tidegate-tests";
/// Made by `./x test` around the debug build, beside whatever image somebody uses.
pub(super) const IMAGE: &str = "tidegate:test";
/// Where the repository is.
pub(super) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What tests have besides: receivers of their own, and a model server that can be made to fail.
const BESIDES: &str = "tests/it/stack/besides.yaml";

/// How the stack is started: the files of Compose, and the variables that they read.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    options: Vec<&'static str>,
    variables: Vec<(&'static str, String)>,
}

impl Form {
    /// With receivers at this port of the machine, and a model server that can be made to fail.
    pub(super) fn telling(port: u16) -> Self {
        let options = vec!["--file", "compose.yaml", "--file", BESIDES];
        Self { options, variables: vec![("RECEIVERS_PORT", port.to_string())] }
    }

    /// As a file of variables has it that users name.
    pub(super) fn of_file(path: &'static str) -> Self {
        Self { options: vec!["--env-file", path], variables: Vec::new() }
    }

    /// Puts a secret of somebody's into the volume of a service, as docs/OPERATIONS.md says it.
    pub(super) fn keep(&self, of: &str, secret: &str) {
        let kept = format!("umask 077; cat > /secrets/{of}");
        self.told(&["run", "--rm", "-T", "--no-deps", "setup", "sh", "-c", &kept], secret.as_bytes());
    }

    /// Has it read this from its standard input.
    pub(super) fn told(&self, words: &[&str], input: &[u8]) {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success(), "{words:?}");
    }

    pub(super) fn compose(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Docker Compose, in either of its forms.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        static IS_PLUGIN: LazyLock<bool> = LazyLock::new(|| {
            let out = Command::new("docker").args(["compose", "version"]).output();
            out.is_ok_and(|out| out.status.success())
        });
        let mut command = Command::new(if *IS_PLUGIN { "docker" } else { "docker-compose" });
        command.args(IS_PLUGIN.then_some("compose"));
        command.current_dir(ROOT).env("COMPOSE_PROJECT_NAME", PROJECT).env("TIDEGATE_IMAGE", IMAGE);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(&self.options).args(words);
        command
    }

    /// What it says, which must be well.
    pub(super) fn said(&self, words: &[&str]) -> String {
        let out = self.compose(words);
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// The container of a service, whether it runs or not.
    pub(super) fn container(&self, service: &str) -> String {
        let labels = [("project", PROJECT), ("service", service), ("oneoff", "False")];
        let filters = labels.map(|(label, value)| format!("--filter=label=com.docker.compose.{label}={value}"));
        let words = ["ps", "--all", "--quiet", "--no-trunc"].into_iter().chain(filters.iter().map(String::as_str));
        docker(&words.collect::<Vec<_>>())
    }

    /// Runs something in the container of a service.
    pub(super) fn within(&self, service: &str, user: &str, words: &[&str]) -> Output {
        let container = self.container(service);
        let asked = ["exec", "--user", user, &container];
        Command::new("docker").args(asked).args(words).output().unwrap()
    }

    /// Puts new containers into the places of services', with other addresses.
    pub(super) fn replace(&self, services: &[&str]) {
        let before: Vec<_> = services.iter().map(|service| self.container(service)).collect();
        self.said(&[&["up", "-d", "--no-deps", "--force-recreate"], services].concat());
        for (service, before) in services.iter().zip(before) {
            assert_ne!(self.container(service), before);
        }
    }

    /// Kills what runs in a service's container, from within: whoever starts it again is Docker, by itself.
    pub(super) fn kill(&self, service: &str) {
        let before = self.started_at(service);
        // Whose process it is may end it.
        let user = if service == "postgres" { "postgres" } else { "" };
        let children = "kill -9 $(cat /proc/1/task/1/children)";
        // It dies with what it has killed.
        self.within(service, user, &["sh", "-c", children]);
        let since = Instant::now();
        while self.started_at(service) == before {
            assert!(since.elapsed() < Duration::from_secs(20), "{service} was not killed, or not started again");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn started_at(&self, service: &str) -> String {
        docker(&["inspect", "--format", "{{.State.StartedAt}}", &self.container(service)])
    }

    /// A secret that `setup` has drawn.
    pub(super) fn secret(&self, of: &str) -> String {
        self.said(&["run", "--rm", "-T", "--no-deps", "setup", "cat", &format!("/secrets/{of}")])
    }

    /// The address of a service on a network of the stack, which this machine can reach.
    pub(super) fn address(&self, service: &str, network: &str) -> String {
        let form = format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", of_stack(network));
        docker(&["inspect", "--format", &form, &self.container(service)])
    }
}

/// What Docker says, which must be well.
pub(super) fn docker(words: &[&str]) -> String {
    let out = Command::new("docker").args(words).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// What Docker calls a network or a volume of the stack.
pub(super) fn of_stack(name: &str) -> String {
    format!("{PROJECT}_{name}")
}

/// The services with a container that is not well, each with its status.
pub(super) fn ill() -> Vec<(String, String)> {
    let form = "{{.Label \"com.docker.compose.service\"}} {{.Status}}";
    let listed = docker(&["ps", "--all", "--filter", &of_project(), "--format", form]);
    listed.lines().filter(|line| is_ill(line)).filter_map(of_service).collect()
}

/// Where the containers that run are on a network of the stack, each after its service.
pub(super) fn addresses(network: &str) -> Vec<(String, String)> {
    let address =
        format!("{{{{with index .NetworkSettings.Networks \"{}\"}}}}{{{{.IPAddress}}}}{{{{end}}}}", of_stack(network));
    let form = format!("{{{{index .Config.Labels \"com.docker.compose.service\"}}}} {address}");
    let ids = docker(&["ps", "--quiet", "--filter", &of_project()]);
    let listed = docker(&["inspect", "--format", &form].into_iter().chain(ids.lines()).collect::<Vec<_>>());
    listed.lines().filter_map(of_service).filter(|(_, address)| !address.is_empty()).collect()
}

/// A service, and what a line says of it.
fn of_service(line: &str) -> Option<(String, String)> {
    line.split_once(' ').map(|(service, said)| (service.to_owned(), said.to_owned()))
}

fn of_project() -> String {
    format!("label=com.docker.compose.project={PROJECT}")
}

fn is_ill(status: &str) -> bool {
    ["(health: starting)", "(unhealthy)", "Restarting", "Created", "Paused", "Dead"]
        .iter()
        .any(|word| status.contains(word))
        || status.contains(" Exited ") && !status.contains(" Exited (0)")
}

/// What all containers use, in MiB.
pub(super) fn memory_mib(of: impl Fn(&str) -> bool) -> f64 {
    let listed = docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"]);
    let ours = listed.lines().filter(|line| line.starts_with(PROJECT) && of(line));
    ours.map(|line| mib(line.split_whitespace().nth(1).unwrap())).sum()
}

fn mib(text: &str) -> f64 {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: f64 = digits.parse().unwrap();
    match &text[digits.len()..] {
        "GiB" => number * 1024.0,
        "MiB" => number,
        "KiB" => number / 1024.0,
        "B" => number / 1024.0 / 1024.0,
        unit => panic!("{unit} in {text}"),
    }
}
