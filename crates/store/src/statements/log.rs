//! Statements of a rollout's log, each entry of which holds the hash of the one before.

use rollout::{At, RolloutId};
use sha2::{Digest as _, Sha256};

use super::columns::{get, name, text, unsigned};
use super::{Arguments, Connection, Engine, Row};
use crate::rows::Transition;
use crate::{Error, json, stored};

type Query<'q> = sqlx::query::Query<'q, Engine, Arguments>;

/// Binds an entry, as the first arguments of a write that is logged; its hash chains it to the one before.
pub(super) fn bind<'q>(query: Query<'q>, entry: &Transition, previous: &[u8]) -> Result<Query<'q>, Error> {
    let (fact, evidence) =
        (json("fact", &entry.fact)?, entry.evidence.as_ref().map(|evidence| json("evidence", evidence)).transpose()?);
    let hash = chained(previous, entry, &fact, evidence.as_deref());
    Ok(query
        .bind(entry.rollout_id.to_string())
        .bind(entry.version)
        .bind(entry.from_stage.clone())
        .bind(entry.to_stage.clone())
        .bind(i64::from(entry.step))
        .bind(entry.fact_kind.clone())
        .bind(entry.fact_source.clone())
        .bind(entry.fact_id.clone())
        .bind(fact)
        .bind(entry.actor.clone())
        .bind(entry.reason.clone())
        .bind(evidence)
        .bind(entry.decided_at.0)
        .bind(previous.to_vec())
        .bind(hash))
}

/// The hash of an entry, if it is there.
pub(crate) async fn end(on: &mut Connection, id: &RolloutId, version: i64) -> Result<Option<Vec<u8>>, Error> {
    sqlx::query("select hash from transition where rollout_id = $1 and version = $2")
        .bind(id.as_str())
        .bind(version)
        .fetch_optional(on)
        .await
        .map_err(Error::of("read the log's last hash"))?
        .map(|row| get(&row, 0))
        .transpose()
}

/// `sha256(previous_hash || canonical row)`: the fields in the table's order, each with its length before it; none is no length.
pub(crate) fn chained(previous: &[u8], entry: &Transition, fact: &str, evidence: Option<&str>) -> Vec<u8> {
    let (version, step, at) = (entry.version.to_string(), entry.step.to_string(), entry.decided_at.0.to_string());
    let fields: [Option<&str>; 13] = [
        Some(entry.rollout_id.as_str()),
        Some(&version),
        Some(&entry.from_stage),
        Some(&entry.to_stage),
        Some(&step),
        Some(&entry.fact_kind),
        Some(&entry.fact_source),
        Some(&entry.fact_id),
        Some(fact),
        Some(&entry.actor),
        entry.reason.as_deref(),
        evidence,
        Some(&at),
    ];
    let digest = fields.iter().fold(Sha256::new().chain_update(previous), |digest, field| {
        let length = field.map_or(u64::MAX, |text| text.len() as u64);
        digest.chain_update(length.to_be_bytes()).chain_update(field.unwrap_or_default())
    });
    digest.finalize().to_vec()
}

pub(crate) async fn history(
    on: &mut Connection,
    id: &RolloutId,
    after: i64,
    limit: i64,
) -> Result<Vec<Transition>, Error> {
    let rows = sqlx::query(
        "select rollout_id, version, from_stage, to_stage, step, fact_kind, fact_source, fact_id, fact, actor, reason, evidence, decided_at \
         from transition where rollout_id = $1 and version > $2 order by version limit $3",
    )
    .bind(id.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(on)
    .await
    .map_err(Error::of("read the log"))?;
    rows.iter().map(transition).collect()
}

pub(super) fn transition(row: &Row) -> Result<Transition, Error> {
    Ok(Transition {
        rollout_id: name(row, 0, RolloutId::new)?,
        version: get(row, 1)?,
        from_stage: get(row, 2)?,
        to_stage: get(row, 3)?,
        step: unsigned(row, 4)?,
        fact_kind: get(row, 5)?,
        fact_source: get(row, 6)?,
        fact_id: get(row, 7)?,
        fact: text(row, 8)?,
        actor: get(row, 9)?,
        reason: get(row, 10)?,
        evidence: get::<Option<String>>(row, 11)?.map(|text| stored("evidence", &text)).transpose()?,
        decided_at: At(get(row, 12)?),
    })
}
