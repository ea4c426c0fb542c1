//! The chassis beside the bus: deadlines, clock, configuration, the admin pages.

mod admin;
mod clock;
mod configuration;
mod postgres;
mod sqlite;
