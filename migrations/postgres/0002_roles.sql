-- Who may do what: a role for each service, which can do to each table what the service does and no more. They can't log in until an
-- operator says how. Whoever runs the migrations owns the tables, and may make roles.

do $$
declare
    service text;
begin
    foreach service in array array['stage_scheduler', 'registry_writer', 'analyzer', 'traffic_updater', 'deployer', 'notifier', 'api'] loop
        if not exists (select from pg_roles where rolname = 'tidegate_' || service) then
            execute format('create role %I', 'tidegate_' || service);
        end if;
    end loop;
end
$$;

-- The tables of the chassis belong to every service, each row to one. No service can put a message into another's outbox, or mark
-- another's inbox.
grant select, insert, update, delete on inbox, outbox, parked, suspect
    to tidegate_stage_scheduler, tidegate_registry_writer, tidegate_analyzer, tidegate_traffic_updater, tidegate_deployer, tidegate_notifier,
       tidegate_api;
alter table inbox enable row level security;
alter table outbox enable row level security;
alter table parked enable row level security;
alter table suspect enable row level security;
create policy inbox_of_its_service on inbox
    using (service = replace(substr(current_user, 10), '_', '-')) with check (service = replace(substr(current_user, 10), '_', '-'));
create policy outbox_of_its_service on outbox
    using (service = replace(substr(current_user, 10), '_', '-')) with check (service = replace(substr(current_user, 10), '_', '-'));
create policy parked_of_its_service on parked
    using (service = replace(substr(current_user, 10), '_', '-')) with check (service = replace(substr(current_user, 10), '_', '-'));
create policy suspect_of_its_service on suspect
    using (service = replace(substr(current_user, 10), '_', '-')) with check (service = replace(substr(current_user, 10), '_', '-'));

-- People see what any service parked, and say what becomes of it; the service itself does it.
create policy parked_is_shown on parked for select to tidegate_api using (true);
grant select, delete on replay
    to tidegate_stage_scheduler, tidegate_registry_writer, tidegate_analyzer, tidegate_traffic_updater, tidegate_deployer, tidegate_notifier;
grant insert on unparked
    to tidegate_stage_scheduler, tidegate_registry_writer, tidegate_analyzer, tidegate_traffic_updater, tidegate_deployer, tidegate_notifier,
       tidegate_api;

grant select, insert, update on rollout, route, beat to tidegate_stage_scheduler;
grant select, insert on transition, refusal to tidegate_stage_scheduler;
grant select on stop to tidegate_stage_scheduler;

grant select, insert, update on model, policy, model_registry to tidegate_registry_writer;
grant select, insert on promotion to tidegate_registry_writer;
grant select on rollout, route to tidegate_registry_writer;

grant select, insert, delete on tick to tidegate_analyzer;
grant select, insert, update on judge_state to tidegate_analyzer;
grant select, insert, update, delete on observation, baseline to tidegate_analyzer;
grant select on rollout to tidegate_analyzer;

grant select, insert, update, delete on target_state to tidegate_traffic_updater;
grant select on route, beat, stop to tidegate_traffic_updater;

grant select, insert, update, delete on workload to tidegate_deployer;
grant select on rollout to tidegate_deployer;

grant select, insert, update, delete on delivery to tidegate_notifier;
grant select on rollout, transition to tidegate_notifier;

grant select, insert, update, delete on idempotency to tidegate_api;
grant select, insert, delete on replay to tidegate_api;
grant select, insert on stop to tidegate_api;
grant select on model, policy, model_registry, promotion, rollout, transition, refusal, route, tick, judge_state, observation, baseline,
    target_state, workload, delivery, unparked, beat to tidegate_api;

-- A service looks whether the schema is its own.
grant select on _sqlx_migrations
    to tidegate_stage_scheduler, tidegate_registry_writer, tidegate_analyzer, tidegate_traffic_updater, tidegate_deployer, tidegate_notifier,
       tidegate_api;
