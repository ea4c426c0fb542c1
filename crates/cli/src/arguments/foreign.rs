//! What can be typed about policies of others.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = IMPORT_HELP)]
pub(crate) struct ImportArguments {
    /// Whose words the files are in.
    #[arg(value_enum)]
    pub(crate) format: Format,
    /// YAML or JSON: a Canary and its MetricTemplates, a Rollout and its AnalysisTemplates, or what `to_dict()` says; `-` is standard
    /// input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
}

const IMPORT_HELP: &str = "Example: a Canary of Flagger; the policy is written to standard output, and every part without equal named \
on standard error:\n\n  \
tidegate import flagger canary.yaml metric-templates.yaml > policy.yaml\n  \
tidegate lint policy.yaml --resolved";

/// Whose words a source is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A `Canary` and its `MetricTemplate`s.
    Flagger,
    /// A `Rollout` and its `AnalysisTemplate`s.
    Argo,
    /// The JSON of a rollout's `to_dict()`, or of a list of its steps.
    AgentSre,
}

#[derive(Debug, Args)]
#[command(after_help = EXPORT_HELP)]
pub(crate) struct ExportArguments {
    /// Whose words to write.
    #[arg(value_enum)]
    pub(crate) target: Target,
    /// A file, or the name of a preset.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) policy: String,
    /// What the objects and their workload are called; the policy's name when absent.
    #[arg(long, value_parser = label, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where they are.
    #[arg(long, default_value = "default", value_parser = label, value_name = "NAME")]
    pub(crate) namespace: String,
    /// Where the model answers.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub(crate) port: u16,
}

const EXPORT_HELP: &str = "Example: a preset as a Rollout with its AnalysisTemplate; every part without equal is named on standard \
error:\n\n  \
tidegate export argo flagger --name vllm-agent --namespace ai-serving --port 8000 > rollout.yaml";

/// Whose words to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// A `Canary`, and `MetricTemplate`s.
    Flagger,
    /// A `Rollout`, and an `AnalysisTemplate`.
    Argo,
}

/// A name that Kubernetes takes for everything, short enough for what is put behind it.
pub(crate) fn label(text: &str) -> Result<String, String> {
    let is_fine = (1..=50).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    is_fine.then(|| text.to_owned()).ok_or_else(|| "write 1 to 50 of `a-z 0-9 -`, without `-` at an end".to_owned())
}
