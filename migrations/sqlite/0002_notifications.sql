-- What is told to people and to other systems outside. Conventions as in 0001.

create table delivery ( -- one message for one receiver about one move of a rollout or one version, written by notifier
    channel    text    not null constraint delivery_knows_its_channel check (channel in ('slack', 'pagerduty', 'webhook')),
    rollout_id text    not null, -- of news about a version, which belong to no rollout: the id of the news
    version    integer not null,
    kind       text    not null constraint delivery_knows_its_kind check (kind in ('message', 'trigger', 'resolve', 'change')),
    dedup_key  text    not null,
    body       text    not null check (json_valid(body)), -- what is sent, without keys and tokens
    subject    text    not null,
    news       text    not null check (json_valid(news)), -- the event that is told
    state      text    not null constraint delivery_knows_its_state check (state in ('waiting', 'sending', 'sent', 'parked')),
    tries      integer not null default 0,
    unsure     integer not null default 0, -- 1: a try may have arrived though no answer came, so the next one is a repeat
    receipt    text,                       -- what the receiver calls it, where it can be changed later
    error      text,
    since_at   integer not null,           -- since when it is to be told
    attempt_at integer not null,
    primary key (channel, rollout_id, version)
) strict;
create index delivery_due on delivery (channel, attempt_at) where state in ('waiting', 'sending');
create index delivery_by_age on delivery (since_at) where state in ('sent', 'parked');
