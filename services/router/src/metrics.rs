//! The counters in the text format of Prometheus (0.0.4), written by hand: the numbers are read from our own cumulative tables.

use std::fmt::{self, Write};
use std::time::Duration;

use judge::edges::LATENCY_EDGES_MS;

use crate::counts::{ArmCount, Counts, Override, Role, now_ms};

/// Upper edges in milliseconds. Each is an edge of the fine histogram too, so the coarse counts are exact sums.
const COARSE_EDGES_MS: [f64; 18] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 10e3, 25e3, 50e3, 100e3, 250e3, 500e3];

impl Counts {
    /// Everything counted, as a page for Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut page = String::new();
        let arms = self.snapshot();
        let written = self
            .write_routes(&mut page)
            .and_then(|()| write_requests(&mut page, &arms))
            .and_then(|()| write_durations(&mut page, &arms));
        written.expect("writing to a string does not fail");
        page
    }

    /// The page of a router in a process of its own, which says how long ago it heard the control part.
    pub(crate) fn prometheus_alone(&self, beat_age: Duration) -> String {
        let mut page = self.prometheus();
        let written = head(&mut page, "tidegate_beat_age_seconds", "gauge", "Time since the control part last beat.")
            .and_then(|()| writeln!(page, "tidegate_beat_age_seconds {}", beat_age.as_secs_f64()));
        written.expect("writing to a string does not fail");
        page
    }

    fn write_routes(&self, page: &mut String) -> fmt::Result {
        head(page, "tidegate_route_generation", "gauge", "Generation of the served route.")?;
        let (marks, now) = (self.marks(), now_ms());
        for ((tenant, model), mark) in &marks {
            let labels = labels(&[("tenant", tenant.as_str()), ("model", model.as_str())]);
            writeln!(page, "tidegate_route_generation{{{labels}}} {}", mark.generation)?;
        }
        head(page, "tidegate_route_age_seconds", "gauge", "Time since the served route was last heard of.")?;
        for ((tenant, model), mark) in &marks {
            let labels = labels(&[("tenant", tenant.as_str()), ("model", model.as_str())]);
            let age = Duration::from_millis(now.saturating_sub(mark.confirmed_at_ms));
            writeln!(page, "tidegate_route_age_seconds{{{labels}}} {}", age.as_secs_f64())?;
        }
        head(page, "tidegate_route_overrides_total", "counter", "Requests that named a version themselves.")?;
        for result in Override::ALL {
            let (word, count) = (result.as_str(), self.overrides(result));
            writeln!(page, "tidegate_route_overrides_total{{result=\"{word}\"}} {count}")?;
        }
        head(page, "tidegate_generations_refused_total", "counter", "Routes that a fence refused.")?;
        writeln!(page, "tidegate_generations_refused_total{{kind=\"router\"}} {}", self.routes_refused())?;
        head(page, "tidegate_route_unmatched_total", "counter", "Requests that no route answered.")?;
        writeln!(page, "tidegate_route_unmatched_total{{reason=\"no_route\"}} {}", self.unrouted())?;
        writeln!(page, "tidegate_route_unmatched_total{{reason=\"bad_request\"}} {}", self.bad_requests())
    }
}

fn write_requests(page: &mut String, arms: &[ArmCount]) -> fmt::Result {
    head(page, "tidegate_route_requests_total", "counter", "Answers by version and status code.")?;
    for arm in arms {
        for (role, codes) in [(Role::Stable, &arm.codes_as_stable), (Role::Candidate, &arm.codes_as_candidate)] {
            let canary = if role == Role::Candidate { "true" } else { "false" };
            for (code, count) in codes {
                let labels = labels(&[
                    ("tenant", arm.tenant.as_str()),
                    ("model", arm.model.as_str()),
                    ("model_version", arm.version.as_str()),
                    ("canary", canary),
                    ("code", &code.to_string()),
                ]);
                writeln!(page, "tidegate_route_requests_total{{{labels}}} {count}")?;
            }
        }
    }
    Ok(())
}

fn write_durations(page: &mut String, arms: &[ArmCount]) -> fmt::Result {
    head(
        page,
        "tidegate_route_request_duration_seconds",
        "histogram",
        "Time that the upstream took for the whole answer.",
    )?;
    for arm in arms {
        let labels = labels(&[
            ("tenant", arm.tenant.as_str()),
            ("model", arm.model.as_str()),
            ("model_version", arm.version.as_str()),
        ]);
        let mut fine = arm.latency.cells().peekable();
        let mut below = 0;
        for edge in COARSE_EDGES_MS {
            let is_below = |(cell, _): &(usize, u64)| LATENCY_EDGES_MS.get(*cell).is_some_and(|fine| *fine <= edge);
            while let Some((_, count)) = fine.next_if(is_below) {
                below += count;
            }
            writeln!(page, "tidegate_route_request_duration_seconds_bucket{{{labels},le=\"{}\"}} {below}", edge / 1e3)?;
        }
        let total = arm.latency.total();
        writeln!(page, "tidegate_route_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {total}")?;
        writeln!(page, "tidegate_route_request_duration_seconds_sum{{{labels}}} {}", arm.latency_sum_seconds)?;
        writeln!(page, "tidegate_route_request_duration_seconds_count{{{labels}}} {total}")?;
    }
    Ok(())
}

fn head(page: &mut String, name: &str, kind: &str, what: &str) -> fmt::Result {
    writeln!(page, "# HELP {name} {what}\n# TYPE {name} {kind}")
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",")
}
