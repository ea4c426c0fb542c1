//! Grids, tests, processes, dispersion, edges, power, budgets: each by itself.

use serde_json::Value;

use super::{NEAR, all_near, near, number, numbers, vectors};
use crate::murmur3;
use crate::sequential::capital::Capital;
use crate::sequential::dispersion::{Dispersion, LENGTHS};
use crate::sequential::grid::{DOWN, Grid, SPLIT, UP, Z};
use crate::sequential::interval;
use crate::sequential::log_e::{Bad, Events, Scale, Sums, mean, mean_ratio, rate, ratio, share, square_bound};
use crate::sequential::plan::{normalised, tolerance};
use crate::sequential::power::{Expected, Goal, samples};
use crate::sequential::quantile_edge::choose;
use crate::sequential::split_drift::SplitDrift;
use crate::slo::budget::{self, Counted};

fn grid(name: &Value) -> &'static Grid {
    if name == "down" { &DOWN } else { &UP }
}

fn bad(given: &Value) -> Bad {
    if given["bad"] == "decrease" { Bad::Decrease } else { Bad::Increase }
}

fn events(given: &Value, k: &str, n: &str) -> Events {
    Events { k: number(&given[k]), n: number(&given[n]) }
}

#[test]
fn grids_are_those_of_the_reference() {
    let expected = &vectors("constants")[0].expected;
    for (grid, at, weight) in [
        (&UP, "up_mult", "up_weight"),
        (&DOWN, "down_mult", "down_weight"),
        (&Z, "z", "z_weight"),
        (&SPLIT, "split_mult", "split_weight"),
    ] {
        all_near(grid.at, &expected[at], at);
        all_near(grid.weights(), &expected[weight], weight);
    }
}

#[test]
fn the_five_tests_agree_with_the_reference() {
    for v in vectors("t1_proportion_ratio") {
        let g = &v.given;
        let grid = grid(&g["grid"]);
        let found = ratio(grid, events(g, "k_c", "n_c"), events(g, "k_s", "n_s"), number(&g["rho"]));
        all_near(&found[..grid.at.len()], &v.expected, &v.id);
    }
    for v in vectors("t2_proportion_limit") {
        let grid = grid(&v.given["grid"]);
        let found = share(grid, events(&v.given, "k", "n"), number(&v.given["p0"]));
        all_near(&found[..grid.at.len()], &v.expected, &v.id);
    }
    for v in vectors("t5_rate_limit") {
        let grid = grid(&v.given["grid"]);
        let found = rate(grid, events(&v.given, "k", "exposure"), number(&v.given["lambda0"]));
        all_near(&found[..grid.at.len()], &v.expected, &v.id);
    }
    for v in vectors("t3_mean_ratio") {
        let g = &v.given;
        let sums = |arm: &str| Sums {
            n: number(&g[format!("n_{arm}")]),
            s1: number(&g[format!("s1_{arm}")]),
            s2: number(&g[format!("s2_{arm}")]),
        };
        let scale = Scale { m: number(&g["m"]), sd: number(&g["sd"]), lo: number(&g["lo"]), hi: number(&g["hi"]) };
        let found = mean_ratio(sums("c"), sums("s"), number(&g["rho"]), bad(g), scale);
        all_near(&found[..Z.at.len()], &v.expected, &v.id);
    }
    for v in vectors("t4_mean_limit") {
        let g = &v.given;
        let sums = Sums { n: number(&g["n"]), s1: number(&g["s1"]), s2: number(&g["s2"]) };
        let mu0 = number(&g["mu0"]);
        let scale = Scale { m: mu0, sd: number(&g["sd"]), lo: number(&g["lo"]), hi: number(&g["hi"]) };
        all_near(&mean(sums, mu0, bad(g), scale)[..Z.at.len()], &v.expected, &v.id);
    }
    for v in vectors("square_bound") {
        let g = &v.given;
        let found = square_bound(number(&g["n"]), number(&g["s1"]), number(&g["lo"]), number(&g["hi"]));
        near(found, &v.expected, NEAR, &v.id);
    }
}

#[test]
fn processes_agree_with_the_reference() {
    for v in vectors("process") {
        let g = &v.given;
        let grid = grid(&g["grid"]);
        let mut process = Capital::new(grid, 1.0, number(&g["pi0"]));
        let rho = if g["pi0"].as_f64() == Some(1.0) { 2.0 } else { 1.15 };
        for (at, step) in g["steps"].as_array().unwrap().iter().enumerate() {
            if !step["inject"].is_null() {
                process.enter_step(grid);
            }
            let log_e = ratio(grid, events(step, "k_c", "n_c"), events(step, "k_s", "n_s"), rho);
            let t = g["first_tick"].as_u64().unwrap() + at as u64;
            process.update(grid, &log_e, step["phi"].as_f64().unwrap_or(1.0), t);
            if let Some(most) = step["cap"].as_f64() {
                process.cap(most);
            }
            let expected = &v.expected[at];
            near(process.value(), &expected["value"], NEAR, &format!("{} step {at}", v.id));
            let (cash, w) = process.parts();
            near(cash, &expected["cash"], NEAR, &v.id);
            all_near(w, &expected["w"], &v.id);
        }
    }
}

#[test]
fn dispersions_agree_with_the_reference() {
    for v in vectors("dispersion") {
        let entries = numbers(&v.given["step_entry_before"]);
        let mut dispersion = Dispersion::default();
        for (at, tick) in v.given["ticks"].as_array().unwrap().iter().enumerate() {
            if entries.contains(&(at as f64)) {
                dispersion.enter_step();
            }
            dispersion.learn(series(tick).iter().copied());
            near(dispersion.phi(), &v.expected["phi_after"][at], NEAR, &format!("{} tick {at}", v.id));
        }
        for (length, (x2, df)) in LENGTHS.iter().zip(dispersion.sums()) {
            near(x2, &v.expected["x2"][length.to_string()], NEAR, &format!("{} x2 of {length}", v.id));
            near(df, &v.expected["df"][length.to_string()], NEAR, &format!("{} df of {length}", v.id));
        }
    }
}

fn series(tick: &Value) -> Vec<(u32, Events)> {
    let events = |pair: &Value| Events { k: number(&pair[0]), n: number(&pair[1]) };
    match tick {
        Value::Array(list) => {
            list.iter().enumerate().map(|(at, pair)| (murmur3(at.to_string().as_bytes()), events(pair))).collect()
        }
        Value::Object(map) => map.iter().map(|(key, pair)| (murmur3(key.as_bytes()), events(pair))).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn edges_are_chosen_as_in_the_reference() {
    for v in vectors("choose_edge") {
        let g = &v.given;
        let found =
            choose(&numbers(&g["edges"]), &numbers(&g["counts"]), number(&g["q"]), number(&g["tolerance"])).unwrap();
        assert_eq!(Some(found.at as u64), v.expected["edge_index"].as_u64(), "{}", v.id);
        near(found.kappa, &v.expected["kappa"], NEAR, &v.id);
    }
}

#[test]
fn small_formulas_agree_with_the_reference() {
    for v in vectors("tolerance") {
        near(tolerance(number(&v.given["limit"]), number(&v.given["sensitivity"])), &v.expected, NEAR, &v.id);
    }
    for v in vectors("hash") {
        assert_eq!(Some(u64::from(murmur3(v.given["text"].as_str().unwrap().as_bytes()))), v.expected.as_u64());
    }
    for v in vectors("ratio_interval") {
        let g = &v.given;
        let found = interval::ratio(events(g, "k_c", "n_c"), events(g, "k_s", "n_s"), number(&g["phi"])).unwrap();
        for (name, found) in [("ratio", found.ratio), ("lower", found.lower), ("upper", found.upper)] {
            near(found, &v.expected[name], NEAR, &v.id);
        }
    }
    for v in vectors("gate_weights") {
        let raw = |name: String, default: f64| {
            v.given["override"][&name].as_f64().map_or((name, default), |w| (v.id.clone(), w))
        };
        let count = |name: &str| v.given[name].as_u64().unwrap();
        let named: Vec<(String, f64)> = (0..count("relative"))
            .map(|at| (format!("r{at}"), 15.0))
            .chain((0..count("absolute")).map(|at| (format!("a{at}"), 4.0)))
            .map(|(name, default)| (name.clone(), raw(name, default).1))
            .collect();
        let raw: Vec<f64> = named.iter().map(|(_, weight)| *weight).collect();
        for ((name, _), weight) in named.iter().zip(normalised(&raw)) {
            near(weight, &v.expected[name], NEAR, &v.id);
        }
    }
    for v in vectors("error_budget") {
        let g = &v.given;
        let (counted, of) = (Counted { bad: number(&g["bad"]), total: number(&g["total"]) }, number(&g["budget"]));
        let burn = budget::burn_rate(counted, of);
        near(budget::remaining(counted, of), &v.expected["remaining"], NEAR, &v.id);
        near(burn, &v.expected["burn_rate"], NEAR, &v.id);
        let status = budget::status(counted, of, g["window_burn"].as_f64().unwrap_or(burn));
        assert_eq!(serde_json::to_value(status).unwrap(), v.expected["status"], "{}", v.id);
    }
}

#[test]
fn split_drift_agrees_with_the_reference() {
    for v in vectors("split_drift") {
        let g = &v.given;
        let mut drift = SplitDrift::default();
        let candidates = u32::try_from(g["arms"].as_u64().unwrap_or(2)).unwrap() - 1;
        let mut alarm = None;
        for ((t, pair), ln_e) in (1..).zip(g["ticks"].as_array().unwrap()).zip(v.expected["ln_e"].as_array().unwrap()) {
            drift.learn((number(&pair[0]), number(&pair[1])), number(&g["share"]), number(&g["phi"]), t);
            near(drift.ln_e(), ln_e, NEAR, &format!("{} tick {t}", v.id));
            alarm = alarm.or(drift.is_alarm(candidates).then_some(t));
        }
        assert_eq!(alarm, v.expected["alarm_tick"].as_u64(), "{}", v.id);
    }
}

#[test]
fn numbers_of_samples_agree_with_the_reference() {
    for v in vectors("power") {
        let g = &v.given;
        let goal = if g["side"] == "accept" {
            Goal::Accept { beta: 0.05 }
        } else {
            Goal::Breach { alpha: 0.01 * number(&g["weight"]) }
        };
        let expected = match g["test"].as_str().unwrap() {
            "t1" => Expected::Ratio {
                p: number(&g["p_s"]),
                effect: number(&g["effect"]),
                rho: number(&g["rho"]),
                share: number(&g["share"]),
            },
            "t2" => Expected::Share { p: number(&g["p"]), p0: number(&g["p0"]) },
            "t3" => Expected::Mean {
                m: number(&g["m"]),
                sd: number(&g["sd"]),
                bounds: (number(&g["lo"]), number(&g["hi"])),
                effect: number(&g["effect"]),
                rho: number(&g["rho"]),
                bad: bad(g),
                share: Some(number(&g["share"])),
            },
            other => panic!("{other}"),
        };
        let found = samples(goal, &expected, g["phi"].as_f64().unwrap_or(1.0));
        near(found.expected, &v.expected["expected"], NEAR, &v.id);
        near(found.n90, &v.expected["n90"], NEAR, &v.id);
    }
}
