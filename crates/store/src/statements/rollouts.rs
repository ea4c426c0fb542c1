//! Statements of stage-scheduler: rollouts, their log, and the wished routes.

use rollout::{At, Model, Rollout, RolloutId, Route, Stage, Tenant, Version};

use super::columns::{bad, get, name, stage, text, unsigned};
use super::dialect::{LOGGED, among, held, listed, logged};
use super::log;
use super::{Connection, Row};
use crate::known::Known;
use crate::rows::{Due, Live, Place, RefusalRow, Scene, Transition};
use crate::{Error, json, stored};

/// The columns of a rollout, in the order in which [`rollout`] reads them.
macro_rules! select_rollout {
    ($tail:literal) => {
        select_rollout!(with "", $tail)
    };
    (with $more:literal, $($tail:expr),+) => {
        concat!(
            "select id, tenant, model, candidate, previous, requested_by, resume, reason, workload, plan, before, machine, stage, step, attempt, ",
            "version, generation, held_ms, wake_at, entered_at, applied_at, retreated_at, created_at, updated_at",
            $more,
            " from rollout ",
            $($tail),+
        )
    };
}

pub(super) use select_rollout;

pub(crate) async fn by_id(on: &mut Connection, id: &RolloutId) -> Result<Option<Rollout>, Error> {
    let row = sqlx::query(select_rollout!("where id = $1"))
        .bind(id.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a rollout"))?;
    row.as_ref().map(rollout).transpose()
}

/// What a step sees beside a rollout: its salt, its route, the other live rollout of its model, the incarnation of the database, and
/// the end of its log.
macro_rules! select_scene {
    ($($tail:expr),+) => {
        select_rollout!(
            with ", salt, (select spec from route where route.tenant = rollout.tenant and route.model = rollout.model), \
            (select id || ' ' || stage from rollout as other where other.tenant = rollout.tenant and other.model = rollout.model \
            and other.id <> rollout.id and other.stage not in ('queued', 'completed', 'rolled_back', 'rejected', 'superseded', 'cancelled')), \
            (select incarnation from beat where one = 1), (select hash from transition where rollout_id = rollout.id and transition.version = rollout.version)",
            $($tail),+
        )
    };
}

const SCENE: &str = select_scene!("where id = $1");
pub(crate) const SCENE_HELD: &str = select_scene!("where id = $1", held!("rollout" by "id"));

/// A rollout with all that a step sees beside it, in one statement: each has its price. Inside a transaction nobody else changes
/// the rollout until it ends, and what was foreseen is taken from there.
pub(crate) async fn scene(
    on: &mut Connection,
    known: Option<&mut Known>,
    id: &RolloutId,
) -> Result<Option<Scene>, Error> {
    let Some(known) = known else { return Ok(scenes(on, SCENE, id.as_str()).await?.pop().map(|seen| seen.0)) };
    if let Some(scene) = known.scene(id) {
        return Ok(Some(scene));
    }
    let Some((scene, log_end)) = scenes_held(on, SCENE_HELD, id.as_str()).await?.pop() else { return Ok(None) };
    if let Some(log_end) = log_end {
        known.log_ends_with(id, scene.rollout.version, log_end);
    }
    Ok(Some(scene))
}

pub(crate) const SCENES_HELD: &str =
    select_scene!("where ", among!("id", "select value ->> 0 from ", listed!("$1")), held!("rollout" by "id"));

/// Reads the scenes of several rollouts at once, for those who will ask for them one by one in this transaction.
pub(crate) async fn foresee(on: &mut Connection, known: Option<&mut Known>, ids: &[RolloutId]) -> Result<(), Error> {
    let Some(known) = known else { return Ok(()) };
    let ids = json("ids", &ids.iter().map(|id| [id]).collect::<Vec<_>>())?;
    for (scene, log_end) in scenes_held(on, SCENES_HELD, &ids).await? {
        known.foreseen(scene, log_end);
    }
    Ok(())
}

/// A scene, and the hash of its log's last entry.
type Seen = (Scene, Option<Vec<u8>>);

/// Scenes of rollouts that are held from now on. Whoever had to wait for another writer has its row, but what is beside the row
/// from before: then the entry of that version can't be seen yet, and all of it is read again.
async fn scenes_held(on: &mut Connection, statement: &'static str, of: &str) -> Result<Vec<Seen>, Error> {
    let seen = scenes(on, statement, of).await?;
    if seen.iter().all(|(_, log_end)| log_end.is_some()) { Ok(seen) } else { scenes(on, statement, of).await }
}

async fn scenes(on: &mut Connection, statement: &'static str, of: &str) -> Result<Vec<Seen>, Error> {
    let rows =
        sqlx::query(statement).bind(of).fetch_all(on).await.map_err(Error::of("read rollouts and their routes"))?;
    rows.iter().map(seen).collect()
}

fn seen(row: &Row) -> Result<Seen, Error> {
    let scene = Scene { rollout: rollout(row)?, salt: get(row, 24)?, place: place(row, 25)? };
    Ok((scene, get(row, 28)?))
}

/// What a new rollout of the model finds there; nothing when the rollout itself is there.
pub(crate) async fn place_of(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
    id: &RolloutId,
) -> Result<Option<Place>, Error> {
    let row = sqlx::query(
        "select (select spec from route where tenant = $1 and model = $2), \
         (select id || ' ' || stage from rollout where tenant = $1 and model = $2 \
         and stage not in ('queued', 'completed', 'rolled_back', 'rejected', 'superseded', 'cancelled')), \
         (select incarnation from beat where one = 1) where not exists (select 1 from rollout where id = $3)",
    )
    .bind(tenant.as_str())
    .bind(model.as_str())
    .bind(id.as_str())
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a route and the live rollout"))?;
    row.map(|row| place(&row, 0)).transpose()
}

fn place(row: &Row, from: usize) -> Result<Place, Error> {
    let live: Option<String> = get(row, from + 1)?;
    let live = live.map(|text| {
        let (id, stage) = text.split_once(' ').ok_or_else(|| bad("live rollout", &text))?;
        let id = RolloutId::new(id).map_err(|cause| bad("rollout id", &cause))?;
        Ok((id, Stage::named(stage).ok_or_else(|| bad("stage", &stage))?))
    });
    let route: Option<String> = get(row, from)?;
    let route = route.map(|text| stored("route", &text)).transpose()?;
    Ok(Place { route, live: live.transpose()?, incarnation: get(row, from + 2)? })
}

/// The model's live rollout, else its latest one.
pub(crate) async fn of_model(on: &mut Connection, tenant: &Tenant, model: &Model) -> Result<Option<Rollout>, Error> {
    let row = sqlx::query(select_rollout!(
        "where tenant = $1 and model = $2 order by stage in ('completed', 'rolled_back', 'rejected', 'superseded', 'cancelled', 'queued'), \
         created_at desc, id desc limit 1"
    ))
    .bind(tenant.as_str())
    .bind(model.as_str())
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a model's rollout"))?;
    row.as_ref().map(rollout).transpose()
}

/// Newest first, those made before `before` (instant and id of the last one seen).
pub(crate) async fn page(
    on: &mut Connection,
    tenant: &Tenant,
    before: (At, &str),
    limit: i64,
) -> Result<Vec<Rollout>, Error> {
    let rows = sqlx::query(select_rollout!(
        "where tenant = $1 and (created_at < $2 or (created_at = $2 and id < $3)) order by created_at desc, id desc limit $4"
    ))
    .bind(tenant.as_str())
    .bind(before.0.0)
    .bind(before.1)
    .bind(limit)
    .fetch_all(on)
    .await
    .map_err(Error::of("list rollouts"))?;
    rows.iter().map(rollout).collect()
}

pub(crate) const LIVE: &str = "select id, stage from rollout where tenant = $1 and model = $2 and id <> $3 \
    and stage not in ('queued', 'completed', 'rolled_back', 'rejected', 'superseded', 'cancelled')";

/// The model's live rollout, if any, other than `but`.
pub(crate) async fn live(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
    but: &RolloutId,
) -> Result<Option<Live>, Error> {
    let row = sqlx::query(LIVE)
        .bind(tenant.as_str())
        .bind(model.as_str())
        .bind(but.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read the live rollout"))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((name(&row, 0, RolloutId::new)?, stage(&row, 1)?)))
}

pub(crate) const DUE: &str =
    "select id, version, wake_at from rollout where wake_at is not null and wake_at < $1 order by wake_at limit $2";

pub(crate) async fn due(on: &mut Connection, before: At, limit: i64) -> Result<Vec<Due>, Error> {
    let rows =
        sqlx::query(DUE).bind(before.0).bind(limit).fetch_all(on).await.map_err(Error::of("read due rollouts"))?;
    rows.iter().map(due_row).collect()
}

pub(crate) fn due_row(row: &Row) -> Result<Due, Error> {
    Ok(Due { rollout_id: name(row, 0, RolloutId::new)?, version: get(row, 1)?, wake_at: At(get(row, 2)?) })
}

/// Opens a rollout and its log; nothing is written when it is there.
pub(crate) async fn open(on: &mut Connection, row: &Rollout, salt: &str, entry: &Transition) -> Result<u64, Error> {
    let (workload, plan, before) = (json("workload", &row.workload)?, json("plan", &row.plan)?, before_json(row)?);
    let query = sqlx::query(logged!(
        "insert into rollout (id, tenant, model, candidate, previous, requested_by, resume, reason, salt, workload, plan, before, machine, stage, step, \
         attempt, version, generation, held_ms, wake_at, entered_at, applied_at, retreated_at, created_at, updated_at) values ($16, $17, $18, $19, $20, \
         $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40) on conflict (id) do nothing"
    ));
    let done = log::bind(query, entry, &[])?
        .bind(row.id.as_str())
        .bind(row.tenant.as_str())
        .bind(row.model.as_str())
        .bind(row.candidate.as_str())
        .bind(row.previous.as_ref().map(Version::as_str))
        .bind(&row.requested_by)
        .bind(row.resume.map(Stage::name))
        .bind(row.reason.as_deref())
        .bind(salt)
        .bind(workload)
        .bind(plan)
        .bind(before)
        .bind(row.machine)
        .bind(row.stage.name())
        .bind(i64::from(row.step))
        .bind(row.attempt)
        .bind(row.version)
        .bind(row.generation)
        .bind(row.held_ms)
        .bind(row.wake_at.map(|at| at.0))
        .bind(row.entered_at.0)
        .bind(row.applied_at.map(|at| at.0))
        .bind(row.retreated_at.map(|at| at.0))
        .bind(row.created_at.0)
        .bind(row.updated_at.0)
        .execute(on)
        .await
        .map_err(Error::of("open a rollout"))?;
    Ok(done.rows_affected() / LOGGED)
}

/// Writes what can change, and the log's entry of it; only if the row still has `from_version`. The log ends there with
/// `previous`; without an end, it has a gap.
pub(crate) async fn advance(
    on: &mut Connection,
    row: &Rollout,
    from_version: i64,
    (entry, previous): (&Transition, Option<&[u8]>),
) -> Result<u64, Error> {
    let before = before_json(row)?;
    let query = sqlx::query(logged!(
        "update rollout set previous = $18, resume = $19, reason = $20, before = $21, stage = $22, step = $23, attempt = $24, version = $25, \
         generation = $26, held_ms = $27, wake_at = $28, entered_at = $29, applied_at = $30, retreated_at = $31, updated_at = $32 \
         where id = $16 and version = $17"
    ));
    let done = log::bind(query, entry, previous.unwrap_or_default())?
        .bind(row.id.as_str())
        .bind(from_version)
        .bind(row.previous.as_ref().map(Version::as_str))
        .bind(row.resume.map(Stage::name))
        .bind(row.reason.as_deref())
        .bind(before)
        .bind(row.stage.name())
        .bind(i64::from(row.step))
        .bind(row.attempt)
        .bind(row.version)
        .bind(row.generation)
        .bind(row.held_ms)
        .bind(row.wake_at.map(|at| at.0))
        .bind(row.entered_at.0)
        .bind(row.applied_at.map(|at| at.0))
        .bind(row.retreated_at.map(|at| at.0))
        .bind(row.updated_at.0)
        .execute(on)
        .await
        .map_err(Error::of("move a rollout"))?;
    match (done.rows_affected(), previous) {
        (0, _) => Ok(0),
        (_, None) => Err(Error::Missing { what: "the entry of the log before this one" }),
        _ => Ok(1),
    }
}

pub(crate) async fn salt(on: &mut Connection, id: &RolloutId) -> Result<Option<String>, Error> {
    let row = sqlx::query("select salt from rollout where id = $1")
        .bind(id.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a salt"))?;
    row.map(|row| get(&row, 0)).transpose()
}

/// At most 1,000 rows a rollout are kept; further ones are counted by the caller's metric alone.
pub(crate) async fn refuse(on: &mut Connection, refusal: &RefusalRow) -> Result<(), Error> {
    sqlx::query(
        "insert into refusal (rollout_id, fact_source, fact_id, fact_kind, reason, actor, at_version, refused_at) \
         select $1, $2, $3, $4, $5, $6, $7, $8 where (select count(*) from refusal where rollout_id = $1) < 1000 on conflict do nothing",
    )
    .bind(refusal.rollout_id.as_str())
    .bind(&refusal.fact_source)
    .bind(&refusal.fact_id)
    .bind(&refusal.fact_kind)
    .bind(&refusal.reason)
    .bind(&refusal.actor)
    .bind(refusal.at_version)
    .bind(refusal.refused_at.0)
    .execute(on)
    .await
    .map_err(Error::of("record a refusal"))?;
    Ok(())
}

pub(crate) async fn refusals(on: &mut Connection, id: &RolloutId) -> Result<Vec<RefusalRow>, Error> {
    let rows = sqlx::query(
        "select rollout_id, fact_source, fact_id, fact_kind, reason, actor, at_version, refused_at from refusal where rollout_id = $1 \
         order by refused_at, fact_id",
    )
    .bind(id.as_str())
    .fetch_all(on)
    .await
    .map_err(Error::of("read refusals"))?;
    rows.iter()
        .map(|row| {
            Ok(RefusalRow {
                rollout_id: name(row, 0, RolloutId::new)?,
                fact_source: get(row, 1)?,
                fact_id: get(row, 2)?,
                fact_kind: get(row, 3)?,
                reason: get(row, 4)?,
                actor: get(row, 5)?,
                at_version: get(row, 6)?,
                refused_at: At(get(row, 7)?),
            })
        })
        .collect()
}

pub(crate) async fn route(on: &mut Connection, tenant: &Tenant, model: &Model) -> Result<Option<Route>, Error> {
    let row = sqlx::query("select spec from route where tenant = $1 and model = $2")
        .bind(tenant.as_str())
        .bind(model.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a route"))?;
    row.as_ref().map(|row| text(row, 0)).transpose()
}

pub(crate) async fn routes(on: &mut Connection) -> Result<Vec<Route>, Error> {
    let rows = sqlx::query("select spec from route order by tenant, model")
        .fetch_all(on)
        .await
        .map_err(Error::of("read routes"))?;
    rows.iter().map(|row| text(row, 0)).collect()
}

/// Writes the wished route; only if the one there still has `from` (0: there is none).
pub(crate) async fn wish(on: &mut Connection, route: &Route, from: i64, at: At) -> Result<u64, Error> {
    let spec = json("route", route)?;
    let insert = "insert into route (generation, rollout_id, spec, updated_at, tenant, model) values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
    let update = "update route set generation = $1, rollout_id = $2, spec = $3, updated_at = $4 where tenant = $5 and model = $6 and generation = $7";
    let query = sqlx::query(if from == 0 { insert } else { update })
        .bind(route.generation)
        .bind(route.rollout_id.as_ref().map(RolloutId::as_str))
        .bind(spec)
        .bind(at.0)
        .bind(route.tenant.as_str())
        .bind(route.model.as_str());
    let query = if from == 0 { query } else { query.bind(from) };
    Ok(query.execute(on).await.map_err(Error::of("wish for a route"))?.rows_affected())
}

fn before_json(row: &Rollout) -> Result<Option<String>, Error> {
    row.before.as_ref().map(|before| json("before", before)).transpose()
}

pub(super) fn rollout(row: &Row) -> Result<Rollout, Error> {
    Ok(Rollout {
        id: name(row, 0, RolloutId::new)?,
        tenant: name(row, 1, Tenant::new)?,
        model: name(row, 2, Model::new)?,
        candidate: name(row, 3, Version::new)?,
        previous: get::<Option<String>>(row, 4)?
            .map(|text| Version::new(text).map_err(|cause| bad("version", &cause)))
            .transpose()?,
        requested_by: get(row, 5)?,
        resume: get::<Option<String>>(row, 6)?
            .map(|text| Stage::named(&text).ok_or_else(|| bad("stage", &text)))
            .transpose()?,
        reason: get(row, 7)?,
        workload: text(row, 8)?,
        plan: text(row, 9)?,
        before: get::<Option<String>>(row, 10)?.map(|text| stored("before", &text)).transpose()?,
        machine: get(row, 11)?,
        stage: stage(row, 12)?,
        step: unsigned(row, 13)?,
        attempt: get(row, 14)?,
        version: get(row, 15)?,
        generation: get(row, 16)?,
        held_ms: get(row, 17)?,
        wake_at: get::<Option<i64>>(row, 18)?.map(At),
        entered_at: At(get(row, 19)?),
        applied_at: get::<Option<i64>>(row, 20)?.map(At),
        retreated_at: get::<Option<i64>>(row, 21)?.map(At),
        created_at: At(get(row, 22)?),
        updated_at: At(get(row, 23)?),
    })
}
