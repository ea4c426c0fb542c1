-- The tables of the distributed form: the same names, columns and constraints as in ../sqlite, which a test holds. Instants end
-- in _at and are milliseconds since 1970 UTC; text is compared by its bytes, as everywhere; json is text, byte for byte as
-- written, and checked as `json`, since `jsonb` refuses the character U+0000 that a fact may quote.

create table inbox (
    service    text collate "C" not null,
    source     text collate "C" not null,
    message_id text collate "C" not null,
    outcome    text collate "C" not null constraint inbox_knows_its_outcome check (outcome in ('applied', 'refused', 'parked')),
    reason     text collate "C",
    rollout_id text collate "C",
    handled_at bigint           not null,
    primary key (service, source, message_id)
);
comment on table inbox is 'a message that a service has settled, written by that service in the commit of its effect';
create index inbox_by_age on inbox (service, handled_at);

create table outbox (
    position        bigint           generated always as identity primary key,
    service         text collate "C" not null,
    message_id      text collate "C" not null constraint outbox_says_it_once unique,
    rollout_id      text collate "C",
    subject         text collate "C" not null,
    headers         text collate "C" not null check ((headers::json) is not null),
    body            text collate "C" not null,
    created_at      bigint           not null,
    claimed_until   bigint           not null default 0,
    published_at    bigint,
    tries           bigint           not null default 0,
    stream_sequence bigint
);
comment on table outbox is 'a message that a service has said, written by that service; the bus gets it from here';
create index outbox_waiting on outbox (service, position) where published_at is null;
create index outbox_published on outbox (service, published_at);

create table parked (
    id            text collate "C" primary key,
    service       text collate "C" not null,
    source        text collate "C" not null,
    message_id    text collate "C" not null,
    subject       text collate "C" not null,
    reason        text collate "C" not null,
    error         text collate "C" not null,
    headers       text collate "C" not null check ((headers::json) is not null),
    body          bytea            not null,
    tries         bigint           not null,
    first_seen_at bigint           not null,
    parked_at     bigint           not null,
    replayed_at   bigint,
    replayed_by   text collate "C",
    constraint parked_once unique (service, source, message_id)
);
comment on table parked is 'a message that can never work, with its reason and its bytes, written by the service that could not';
create index parked_by_age on parked (parked_at) where replayed_at is null;

create table suspect (
    service    text collate "C" not null,
    source     text collate "C" not null,
    message_id text collate "C" not null,
    tries      bigint           not null,
    first_at   bigint           not null,
    primary key (service, source, message_id)
);
comment on table suspect is 'a message that was in hand when its service last died, written by that service';
create index suspect_by_age on suspect (first_at);

create table model (
    tenant     text collate "C" not null,
    name       text collate "C" not null,
    type       text collate "C" not null,
    kind       text collate "C" not null constraint model_knows_its_kind check (kind in ('model', 'agent', 'prompt')),
    match      text collate "C" not null constraint model_has_its_own_match unique,
    spec       text collate "C" not null check ((spec::json) is not null), -- match, policy and health as they were given
    generation bigint           not null default 0, -- of the last news applied
    created_at bigint           not null,
    primary key (tenant, name)
);
comment on table model is 'a model, an agent or a prompt that has versions, written by registry-writer';

create table policy (
    tenant     text collate "C" not null,
    name       text collate "C" not null,
    revision   bigint           not null,
    spec       text collate "C" not null check ((spec::json) is not null),
    created_by text collate "C" not null,
    created_at bigint           not null,
    primary key (tenant, name, revision)
);
comment on table policy is 'one revision of a named policy, written by registry-writer';

create table model_registry (
    model_id     text collate "C" primary key,
    tenant       text collate "C" not null,
    model_type   text collate "C" not null,
    name         text collate "C" not null,
    version      text collate "C" not null,
    artifact_uri text collate "C",
    status       text collate "C" not null constraint version_knows_its_status
        check (status in ('published', 'canary', 'active', 'retired', 'turned_back', 'revoked')),
    traffic_pct  double precision not null default 0,
    upstream     text collate "C" not null,
    headers      text collate "C" not null check ((headers::json) is not null),
    metadata     text collate "C" not null check ((metadata::json) is not null),
    created_at   bigint           not null,
    updated_at   bigint           not null,
    constraint version_registered_once unique (tenant, name, version)
);
comment on table model_registry is 'one version of a model, written by registry-writer';
create unique index version_one_active on model_registry (tenant, model_type, name) where status = 'active';

create table promotion (
    id         bigint           generated always as identity primary key,
    tenant     text collate "C" not null,
    name       text collate "C" not null,
    version    text collate "C" not null,
    from_stage text collate "C" not null,
    to_stage   text collate "C" not null,
    actor      text collate "C" not null,
    rollout_id text collate "C" not null,
    at         bigint           not null
);
comment on table promotion is 'a change of a version''s status, written by registry-writer';
create index promotion_by_model on promotion (tenant, name, id);

create table rollout (
    id           text collate "C" primary key,
    tenant       text collate "C" not null,
    model        text collate "C" not null,
    candidate    text collate "C" not null,
    previous     text collate "C",
    requested_by text collate "C" not null,
    resume       text collate "C",
    reason       text collate "C",
    salt         text collate "C" not null, -- drawn when the row is made; the log never sees it
    workload     text collate "C" not null check ((workload::json) is not null),
    plan         text collate "C" not null check ((plan::json) is not null),
    before       text collate "C" check (before is null or (before::json) is not null),
    machine      bigint           not null,
    stage        text collate "C" not null,
    step         bigint           not null,
    attempt      bigint           not null,
    version      bigint           not null constraint rollout_version_counts_up check (version >= 1),
    generation   bigint           not null,
    held_ms      bigint           not null,
    wake_at      bigint,
    entered_at   bigint           not null,
    applied_at   bigint,
    retreated_at bigint,
    created_at   bigint           not null,
    updated_at   bigint           not null,
    constraint rollout_waits_with_a_deadline check (
        (stage in ('completed', 'rolled_back', 'rejected', 'superseded', 'cancelled')) = (wake_at is null)),
    constraint rollout_never_goes_forward_again check (
        retreated_at is null or stage in ('retreating', 'rolled_back', 'superseded', 'cancelled'))
);
comment on table rollout is 'one rollout of one version, written by stage-scheduler';
create unique index rollout_one_live on rollout (tenant, model)
    where stage not in ('queued', 'completed', 'rolled_back', 'rejected', 'superseded', 'cancelled');
create index rollout_due on rollout (wake_at) where wake_at is not null;
create index rollout_by_model on rollout (tenant, model, created_at);
create index rollout_by_age on rollout (created_at);

create table transition (
    rollout_id    text collate "C" not null references rollout (id),
    version       bigint           not null,
    from_stage    text collate "C" not null,
    to_stage      text collate "C" not null,
    step          bigint           not null,
    fact_kind     text collate "C" not null,
    fact_source   text collate "C" not null,
    fact_id       text collate "C" not null,
    fact          text collate "C" not null check ((fact::json) is not null),
    actor         text collate "C" not null,
    reason        text collate "C",
    evidence      text collate "C" check (evidence is null or (evidence::json) is not null),
    decided_at    bigint           not null,
    previous_hash bytea            not null,
    hash          bytea            not null,
    primary key (rollout_id, version),
    constraint transition_one_per_fact unique (rollout_id, fact_source, fact_id)
);
comment on table transition is 'one move of a rollout, written by stage-scheduler, never changed';
create index transition_by_age on transition (decided_at);

create table refusal (
    rollout_id  text collate "C" not null,
    fact_source text collate "C" not null,
    fact_id     text collate "C" not null,
    fact_kind   text collate "C" not null,
    reason      text collate "C" not null,
    actor       text collate "C" not null,
    at_version  bigint           not null,
    refused_at  bigint           not null,
    primary key (rollout_id, fact_source, fact_id)
);
comment on table refusal is 'a fact that changed nothing, written by stage-scheduler';

create table route (
    tenant     text collate "C" not null,
    model      text collate "C" not null,
    generation bigint           not null constraint route_generation_counts_up check (generation >= 0),
    rollout_id text collate "C",
    spec       text collate "C" not null check ((spec::json) is not null), -- the route as targets get it, salt included
    updated_at bigint           not null,
    primary key (tenant, model)
);
comment on table route is 'what the targets of a model are wished to serve, written by stage-scheduler';

create table tick (
    rollout_id text collate "C" not null,
    arm        text collate "C" not null constraint tick_knows_its_arm check (arm in ('candidate', 'stable')),
    tick       bigint           not null,
    tick_row   text collate "C" not null check ((tick_row::json) is not null), -- step, elapsed, held, warmup, signals
    primary key (rollout_id, arm, tick)
);
comment on table tick is 'what one arm did in one tick of an analysis, written by analyzer, never changed';

create table judge_state (
    rollout_id text collate "C" primary key,
    tenant     text collate "C" not null,
    model      text collate "C" not null,
    attempt    bigint           not null,
    tick       bigint           not null,
    request    text collate "C" not null check ((request::json) is not null), -- the analysis as it was asked for
    state      text collate "C" not null check ((state::json) is not null),
    verdict    text collate "C" check (verdict is null or (verdict::json) is not null),
    wake_at    bigint
);
comment on table judge_state is 'where an analysis stands, written by analyzer';
create index judge_due on judge_state (wake_at) where wake_at is not null;

create table observation (
    tenant     text collate "C" not null,
    model      text collate "C" not null,
    version    text collate "C" not null,
    source     text collate "C" not null,
    generation bigint           not null,
    started_at bigint           not null,
    sampled_at bigint           not null,
    series     text collate "C" not null check ((series::json) is not null),
    primary key (tenant, model, version, source)
);
comment on table observation is 'what one source has counted for one version since it started, written by analyzer';

create table baseline (
    tenant  text collate "C" not null,
    model   text collate "C" not null,
    version text collate "C" not null,
    minute  bigint           not null,
    signals text collate "C" not null check ((signals::json) is not null),
    primary key (tenant, model, version, minute)
);
comment on table baseline is 'what the active version did in one minute without a rollout, written by analyzer';

create table target_state (
    target_id          text collate "C" primary key,
    desired_generation bigint           not null,
    applied_generation bigint           not null,
    request            text collate "C",
    observed           text collate "C" check (observed is null or (observed::json) is not null),
    error              text collate "C",
    observed_at        bigint           not null,
    drift_at           bigint, -- since when it serves something else than it was told
    constraint target_is_not_ahead check (applied_generation <= desired_generation)
);
comment on table target_state is 'what a target was last seen to serve, written by traffic-updater';

create table workload (
    rollout_id text collate "C" primary key,
    request    text collate "C" not null check ((request::json) is not null),
    attempt    bigint           not null,
    state      text collate "C" not null constraint workload_knows_its_state check (state in ('probing', 'ready', 'failed')),
    error      text collate "C",
    tries      bigint           not null,
    wake_at    bigint
);
comment on table workload is 'a candidate''s servers while they are brought up, written by deployer';
create index workload_due on workload (wake_at) where wake_at is not null;

create table idempotency (
    tenant       text collate "C" not null,
    key          text collate "C" not null,
    request_hash bytea            not null,
    message_id   text collate "C" not null,
    answer       text collate "C" not null check ((answer::json) is not null),
    created_at   bigint           not null,
    primary key (tenant, key)
);
comment on table idempotency is 'the answer to a write that named a key, written by api';
create index idempotency_by_age on idempotency (created_at);

create table bus_value (
    bucket     text collate "C" not null,
    key        text collate "C" not null,
    revision   bigint           not null,
    value      text collate "C" not null,
    updated_at bigint           not null,
    primary key (bucket, key)
);
comment on table bus_value is 'one key of a bucket of the in-process bus, written by the chassis';

create table delivery (
    channel    text collate "C" not null constraint delivery_knows_its_channel check (channel in ('slack', 'pagerduty', 'webhook')),
    rollout_id text collate "C" not null, -- of news about a version, which belong to no rollout: the id of the news
    version    bigint           not null,
    kind       text collate "C" not null constraint delivery_knows_its_kind check (kind in ('message', 'trigger', 'resolve', 'change')),
    dedup_key  text collate "C" not null,
    body       text collate "C" not null check ((body::json) is not null), -- what is sent, without keys and tokens
    subject    text collate "C" not null,
    news       text collate "C" not null check ((news::json) is not null), -- the event that is told
    state      text collate "C" not null constraint delivery_knows_its_state check (state in ('waiting', 'sending', 'sent', 'parked')),
    tries      bigint           not null default 0,
    unsure     bigint           not null default 0, -- 1: a try may have arrived though no answer came, so the next one is a repeat
    receipt    text collate "C", -- what the receiver calls it, where it can be changed later
    error      text collate "C",
    since_at   bigint           not null, -- since when it is to be told
    attempt_at bigint           not null,
    primary key (channel, rollout_id, version)
);
comment on table delivery is 'one message for one receiver about one move of a rollout or one version, written by notifier';
create index delivery_due on delivery (channel, attempt_at) where state in ('waiting', 'sending');
create index delivery_by_age on delivery (since_at) where state in ('sent', 'parked');

create table replay (
    parked_id text collate "C" primary key,
    action    text collate "C" not null constraint replay_knows_its_action check (action in ('replay', 'drop')),
    actor     text collate "C" not null,
    reason    text collate "C",
    asked_at  bigint           not null
);
comment on table replay is 'what somebody asks for a parked message, written by api; the service that parked it takes it away when it is done';

create table unparked (
    id         bigint           generated always as identity primary key,
    parked_id  text collate "C" not null,
    service    text collate "C" not null,
    source     text collate "C" not null,
    message_id text collate "C" not null,
    subject    text collate "C" not null,
    error      text collate "C" not null, -- the reason that it was parked with, and what exactly was wrong
    action     text collate "C" not null,
    outcome    text collate "C" not null constraint unparked_knows_its_outcome check (outcome in ('applied', 'refused', 'parked', 'dropped')),
    why        text collate "C", -- it was refused, or parked again
    actor      text collate "C" not null,
    reason     text collate "C",
    asked_at   bigint           not null,
    done_at    bigint           not null
);
comment on table unparked is 'what became of a parked message at somebody''s word, written by the service that parked it, never changed';
create index unparked_by_message on unparked (parked_id, id);

create table beat (
    one         bigint primary key constraint beat_is_one_row check (one = 1),
    number      bigint not null,
    incarnation bigint not null constraint beat_incarnation_fits check (incarnation between 0 and 4095),
    beat_at     bigint not null
);
comment on table beat is 'one row: that the control part is alive, written by stage-scheduler';
insert into beat (one, number, incarnation, beat_at) values (1, 0, 0, 0);

create table stop (
    rollout_id text collate "C" primary key,
    tenant     text collate "C" not null,
    actor      text collate "C" not null,
    reason     text collate "C",
    stopped_at bigint           not null
);
comment on table stop is 'a rollout that somebody stopped, written by api';
