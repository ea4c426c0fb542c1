-- The promotion history of a model is read by people, newest first.
create index promotion_by_model on promotion (tenant, name, id);
