-- The API answers with what became of what it said, so it sees the marks of all services; each makes its own alone.
create policy inbox_is_shown on inbox for select to tidegate_api using (true);
