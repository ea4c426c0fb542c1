-- What the parts need to fail safe: the beat that leases hang on, the rollouts that somebody stopped, and when a target drifted.

create table beat ( -- one row: that the control part is alive, written by stage-scheduler
    one         integer primary key constraint beat_is_one_row check (one = 1),
    number      integer not null,
    incarnation integer not null constraint beat_incarnation_fits check (incarnation between 0 and 4095),
    beat_at     integer not null
) strict;
insert into beat (one, number, incarnation, beat_at) values (1, 0, 0, 0);

create table stop ( -- a rollout that somebody stopped, written by api
    rollout_id text    primary key,
    tenant     text    not null,
    actor      text    not null,
    reason     text,
    stopped_at integer not null
) strict;

alter table target_state add column drift_at integer; -- since when it serves something else than it was told
