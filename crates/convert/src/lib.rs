//! Policies of others and ours: Flagger, Argo Rollouts and agent-sre read, Flagger and Argo Rollouts written.
//!
//! Pure: texts in, a text and notes out. Nothing of a source is passed over in silence. Each field is taken out when it is read, and
//! what is left is named in a note, with what to do instead. What an importer writes is a policy that has been read back.

mod agent_sre;
mod argo;
mod document;
mod draft;
mod error;
mod export;
mod fields;
mod flagger;
mod note;
mod query;
mod word;

pub use document::Document;
pub use error::Error;
pub use export::{Naming, Target, export};
pub use note::Note;

/// Whose words a source is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A `Canary` and its `MetricTemplate`s.
    Flagger,
    /// A `Rollout` and its `AnalysisTemplate`s.
    Argo,
    /// The JSON of a rollout's `to_dict()`, or of a list of its steps.
    AgentSre,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// A policy, or manifests of others.
    pub text: String,
    /// Everything that became something else, or nothing.
    pub notes: Vec<Note>,
}

/// Makes a policy of what others wrote.
///
/// # Errors
/// What keeps it from being one: the file, the field, what is wrong with it, and what to write.
pub fn import(format: Format, documents: &[Document<'_>]) -> Result<Converted, Error> {
    let values = document::values(documents)?;
    let mut notes = Vec::new();
    let draft = match format {
        Format::Flagger => flagger::import(values, &mut notes),
        Format::Argo => argo::import(values, &mut notes),
        Format::AgentSre => agent_sre::import(values, &mut notes),
    }?;
    Ok(Converted { text: draft.into_text()?, notes: once(notes) })
}

/// Each note where it came first: what several parts use is read for each of them.
fn once(notes: Vec<Note>) -> Vec<Note> {
    let mut fresh: Vec<Note> = Vec::new();
    for note in notes {
        if !fresh.contains(&note) {
            fresh.push(note);
        }
    }
    fresh
}

#[cfg(test)]
mod tests;
