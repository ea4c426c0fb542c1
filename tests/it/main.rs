//! The tests that need more than one crate: contracts of store and bus, the router on real sockets, scenarios against a real
//! `tidegate up`, kills, and what holds for the repository as a whole. One binary, because linking is what costs.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod asking;
mod bad_input;
mod baseline;
mod bus;
mod canary_deployment;
mod chassis;
mod checker;
mod cli_only;
mod demo;
mod disk;
mod distributed;
mod events;
mod exposure;
mod failing_safe;
mod faults;
mod house;
mod http_only;
mod keeping_time;
mod kills;
mod load;
mod lone_router;
mod modelsim;
mod nats;
mod nats_facts;
mod news_order;
mod notifying;
mod observing;
mod outside;
mod overriding;
mod pages;
mod parked;
mod people;
mod prometheus;
mod router;
mod schemas;
mod sim;
mod store;
mod tidy;
mod tls;
mod traffic;
mod verbs;
mod when_live;
mod witness;
