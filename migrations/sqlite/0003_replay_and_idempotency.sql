-- What people ask for parked messages and what became of it, and the answers that are kept for a key, found by their age.

create table replay ( -- what somebody asks for a parked message, written by api; the service that parked it takes it away when it is done
    parked_id text    primary key,
    action    text    not null constraint replay_knows_its_action check (action in ('replay', 'drop')),
    actor     text    not null,
    reason    text,
    asked_at  integer not null
) strict;

create table unparked ( -- what became of a parked message at somebody's word, written by the service that parked it, never changed
    id         integer primary key autoincrement,
    parked_id  text    not null,
    service    text    not null,
    source     text    not null,
    message_id text    not null,
    subject    text    not null,
    error      text    not null, -- the reason that it was parked with, and what exactly was wrong
    action     text    not null,
    outcome    text    not null constraint unparked_knows_its_outcome check (outcome in ('applied', 'refused', 'parked', 'dropped')),
    why        text,             -- it was refused, or parked again
    actor      text    not null,
    reason     text,
    asked_at   integer not null,
    done_at    integer not null
) strict;
create index unparked_by_message on unparked (parked_id, id);

create index parked_by_age on parked (parked_at) where replayed_at is null;
create index idempotency_by_age on idempotency (created_at);
