//! `tidegate import` and `tidegate export`: policies of others. What is made goes to standard output, what there is to know of it to
//! standard error.

use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, anyhow};
use convert::{Converted, Document, Naming};
use rollout::Policy;

use crate::arguments::{ExportArguments, Format, ImportArguments, Target, label};
use crate::exit::Exit;
use crate::lint;
use crate::words::grouped;

/// The file that is standard input.
const STANDARD_INPUT: &str = "-";

pub(crate) fn import(asked: &ImportArguments) -> anyhow::Result<Exit> {
    let texts = asked.files.iter().map(|file| text_of(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let documents = asked.files.iter().zip(&texts).map(|(name, text)| Document { name, text });
    let format = match asked.format {
        Format::Flagger => convert::Format::Flagger,
        Format::Argo => convert::Format::Argo,
        Format::AgentSre => convert::Format::AgentSre,
    };
    tell(&convert::import(format, &documents.collect::<Vec<_>>())?)
}

pub(crate) fn export(asked: &ExportArguments) -> anyhow::Result<Exit> {
    let policy = lint::policy_of(&asked.policy)?;
    let target = match asked.target {
        Target::Flagger => convert::Target::Flagger,
        Target::Argo => convert::Target::Argo,
    };
    let naming = Naming {
        name: asked.name.clone().map_or_else(|| name_of(&policy), Ok)?,
        namespace: asked.namespace.clone(),
        port: asked.port,
    };
    tell(&convert::export(target, &policy, &naming)?)
}

/// A policy's name as Kubernetes takes it, if it can: a policy may have a longer one, and one that ends in a dot.
fn name_of(policy: &Policy) -> anyhow::Result<String> {
    let name = policy.name().map_or("unnamed", |name| name.as_str());
    label(&name.replace(['_', '.'], "-")).map_err(|why| {
        anyhow!("the policy's name `{name}` makes none that Kubernetes takes: give one with `--name` ({why})")
    })
}

fn text_of(file: &str) -> anyhow::Result<String> {
    if file != STANDARD_INPUT {
        return std::fs::read_to_string(file).with_context(|| format!("can't read {file}"));
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).context("can't read standard input")?;
    Ok(text)
}

fn tell(made: &Converted) -> anyhow::Result<Exit> {
    io::stdout().lock().write_all(made.text.as_bytes())?;
    let notes: Vec<String> = made.notes.iter().map(ToString::to_string).collect();
    for note in grouped(&notes) {
        writeln!(io::stderr().lock(), "note: {note}")?;
    }
    Ok(Exit::Done)
}
