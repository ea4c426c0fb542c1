-- The tables of the embedded form. Instants end in _at and are milliseconds since 1970 UTC; json is text, byte for byte as
-- written. One service writes each table; its name is in the table's comment.

create table inbox ( -- a message that a service has settled, written by that service in the commit of its effect
    service     text    not null,
    source      text    not null,
    message_id  text    not null,
    outcome     text    not null constraint inbox_knows_its_outcome check (outcome in ('applied', 'refused', 'parked')),
    reason      text,
    rollout_id  text,
    handled_at  integer not null,
    primary key (service, source, message_id)
) strict;
create index inbox_by_age on inbox (service, handled_at);

create table outbox ( -- a message that a service has said, written by that service; here it is also the stream itself
    position        integer primary key autoincrement,
    service         text    not null,
    message_id      text    not null constraint outbox_says_it_once unique,
    rollout_id      text,
    subject         text    not null,
    headers         text    not null check (json_valid(headers)),
    body            text    not null,
    created_at      integer not null,
    claimed_until   integer not null default 0,
    published_at    integer,
    tries           integer not null default 0,
    stream_sequence integer
) strict;
create index outbox_waiting on outbox (service, position) where published_at is null;
create index outbox_published on outbox (service, published_at);

create table parked ( -- a message that can never work, with its reason and its bytes, written by the service that could not
    id            text    primary key,
    service       text    not null,
    source        text    not null,
    message_id    text    not null,
    subject       text    not null,
    reason        text    not null,
    error         text    not null,
    headers       text    not null check (json_valid(headers)),
    body          blob    not null,
    tries         integer not null,
    first_seen_at integer not null,
    parked_at     integer not null,
    replayed_at   integer,
    replayed_by   text,
    constraint parked_once unique (service, source, message_id)
) strict;

create table suspect ( -- a message that was in hand when its service last died, written by that service
    service    text    not null,
    source     text    not null,
    message_id text    not null,
    tries      integer not null,
    first_at   integer not null,
    primary key (service, source, message_id)
) strict;
create index suspect_by_age on suspect (first_at);

create table model ( -- a model, an agent or a prompt that has versions, written by registry-writer
    tenant     text    not null,
    name       text    not null,
    type       text    not null,
    kind       text    not null constraint model_knows_its_kind check (kind in ('model', 'agent', 'prompt')),
    match      text    not null constraint model_has_its_own_match unique,
    spec       text    not null check (json_valid(spec)), -- match, policy and health as they were given
    generation integer not null default 0,                -- of the last news applied
    created_at integer not null,
    primary key (tenant, name)
) strict;

create table policy ( -- one revision of a named policy, written by registry-writer
    tenant     text    not null,
    name       text    not null,
    revision   integer not null,
    spec       text    not null check (json_valid(spec)),
    created_by text    not null,
    created_at integer not null,
    primary key (tenant, name, revision)
) strict;

create table model_registry ( -- one version of a model, written by registry-writer
    model_id     text    primary key,
    tenant       text    not null,
    model_type   text    not null,
    name         text    not null,
    version      text    not null,
    artifact_uri text,
    status       text    not null constraint version_knows_its_status
        check (status in ('published', 'canary', 'active', 'retired', 'turned_back', 'revoked')),
    traffic_pct  real    not null default 0,
    upstream     text    not null,
    headers      text    not null check (json_valid(headers)),
    metadata     text    not null check (json_valid(metadata)),
    created_at   integer not null,
    updated_at   integer not null,
    constraint version_registered_once unique (tenant, name, version)
) strict;
create unique index version_one_active on model_registry (tenant, model_type, name) where status = 'active';

create table promotion ( -- a change of a version's status, written by registry-writer
    id         integer primary key autoincrement,
    tenant     text    not null,
    name       text    not null,
    version    text    not null,
    from_stage text    not null,
    to_stage   text    not null,
    actor      text    not null,
    rollout_id text    not null,
    at         integer not null
) strict;

create table rollout ( -- one rollout of one version, written by stage-scheduler
    id           text    primary key,
    tenant       text    not null,
    model        text    not null,
    candidate    text    not null,
    previous     text,
    requested_by text    not null,
    resume       text,
    reason       text,
    salt         text    not null, -- drawn when the row is made; the log never sees it
    workload     text    not null check (json_valid(workload)),
    plan         text    not null check (json_valid(plan)),
    before       text    check (before is null or json_valid(before)),
    machine      integer not null,
    stage        text    not null,
    step         integer not null,
    attempt      integer not null,
    version      integer not null constraint rollout_version_counts_up check (version >= 1),
    generation   integer not null,
    held_ms      integer not null,
    wake_at      integer,
    entered_at   integer not null,
    applied_at   integer,
    retreated_at integer,
    created_at   integer not null,
    updated_at   integer not null,
    constraint rollout_waits_with_a_deadline check (
        (stage in ('completed', 'rolled_back', 'rejected', 'superseded', 'cancelled')) = (wake_at is null)),
    constraint rollout_never_goes_forward_again check (
        retreated_at is null or stage in ('retreating', 'rolled_back', 'superseded', 'cancelled'))
) strict;
create unique index rollout_one_live on rollout (tenant, model)
    where stage not in ('queued', 'completed', 'rolled_back', 'rejected', 'superseded', 'cancelled');
create index rollout_due on rollout (wake_at) where wake_at is not null;
create index rollout_by_model on rollout (tenant, model, created_at);
create index rollout_by_age on rollout (created_at);

create table transition ( -- one move of a rollout, written by stage-scheduler, never changed
    rollout_id    text    not null references rollout (id),
    version       integer not null,
    from_stage    text    not null,
    to_stage      text    not null,
    step          integer not null,
    fact_kind     text    not null,
    fact_source   text    not null,
    fact_id       text    not null,
    fact          text    not null check (json_valid(fact)),
    actor         text    not null,
    reason        text,
    evidence      text    check (evidence is null or json_valid(evidence)),
    decided_at    integer not null,
    previous_hash blob    not null,
    hash          blob    not null,
    primary key (rollout_id, version),
    constraint transition_one_per_fact unique (rollout_id, fact_source, fact_id)
) strict;
create index transition_by_age on transition (decided_at);

create table refusal ( -- a fact that changed nothing, written by stage-scheduler
    rollout_id  text    not null,
    fact_source text    not null,
    fact_id     text    not null,
    fact_kind   text    not null,
    reason      text    not null,
    actor       text    not null,
    at_version  integer not null,
    refused_at  integer not null,
    primary key (rollout_id, fact_source, fact_id)
) strict;

create table route ( -- what the targets of a model are wished to serve, written by stage-scheduler
    tenant     text    not null,
    model      text    not null,
    generation integer not null constraint route_generation_counts_up check (generation >= 0),
    rollout_id text,
    spec       text    not null check (json_valid(spec)), -- the route as targets get it, salt included
    updated_at integer not null,
    primary key (tenant, model)
) strict;

create table tick ( -- what one arm did in one tick of an analysis, written by analyzer, never changed
    rollout_id text    not null,
    arm        text    not null constraint tick_knows_its_arm check (arm in ('candidate', 'stable')),
    tick       integer not null,
    tick_row   text    not null check (json_valid(tick_row)), -- step, elapsed, held, warmup, signals
    primary key (rollout_id, arm, tick)
) strict;

create table judge_state ( -- where an analysis stands, written by analyzer
    rollout_id text    primary key,
    tenant     text    not null,
    model      text    not null,
    attempt    integer not null,
    tick       integer not null,
    request    text    not null check (json_valid(request)), -- the analysis as it was asked for
    state      text    not null check (json_valid(state)),
    verdict    text    check (verdict is null or json_valid(verdict)),
    wake_at    integer
) strict;
create index judge_due on judge_state (wake_at) where wake_at is not null;

create table observation ( -- what one source has counted for one version since it started, written by analyzer
    tenant     text    not null,
    model      text    not null,
    version    text    not null,
    source     text    not null,
    generation integer not null,
    started_at integer not null,
    sampled_at integer not null,
    series     text    not null check (json_valid(series)),
    primary key (tenant, model, version, source)
) strict;

create table baseline ( -- what the active version did in one minute without a rollout, written by analyzer
    tenant  text    not null,
    model   text    not null,
    version text    not null,
    minute  integer not null,
    signals text    not null check (json_valid(signals)),
    primary key (tenant, model, version, minute)
) strict;

create table target_state ( -- what a target was last seen to serve, written by traffic-updater
    target_id          text    primary key,
    desired_generation integer not null,
    applied_generation integer not null,
    request            text,
    observed           text    check (observed is null or json_valid(observed)),
    error              text,
    observed_at        integer not null,
    constraint target_is_not_ahead check (applied_generation <= desired_generation)
) strict;

create table workload ( -- a candidate's servers while they are brought up, written by deployer
    rollout_id text    primary key,
    request    text    not null check (json_valid(request)),
    attempt    integer not null,
    state      text    not null constraint workload_knows_its_state check (state in ('probing', 'ready', 'failed')),
    error      text,
    tries      integer not null,
    wake_at    integer
) strict;
create index workload_due on workload (wake_at) where wake_at is not null;

create table idempotency ( -- the answer to a write that named a key, written by api
    tenant       text    not null,
    key          text    not null,
    request_hash blob    not null,
    message_id   text    not null,
    answer       text    not null check (json_valid(answer)),
    created_at   integer not null,
    primary key (tenant, key)
) strict;

create table bus_value ( -- one key of a bucket of the in-process bus, written by the chassis
    bucket     text    not null,
    key        text    not null,
    revision   integer not null,
    value      text    not null,
    updated_at integer not null,
    primary key (bucket, key)
) strict;
