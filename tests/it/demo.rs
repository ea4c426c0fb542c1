//! `tidegate demo`, as a newcomer runs it.

use std::process::Command;

use crate::house::binary;

/// Side by side, beside what leaves them the machine: they measure time.
#[test]
fn the_demo_promotes_the_good_version_and_takes_the_bad_one_and_the_one_that_hangs_back() {
    std::thread::scope(|both| {
        both.spawn(a_candidate_that_never_answers_is_taken_back_by_the_age_of_its_requests);
        both.spawn(the_good_version_is_promoted_and_the_bad_one_taken_back);
    });
}

fn a_candidate_that_never_answers_is_taken_back_by_the_age_of_its_requests() {
    let out = Command::new(binary()).args(["demo", "--scenario", "hang"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    for word in ["rolled_back", "hang_after and two ticks", "all as it should be"] {
        assert!(text.contains(word), "`{word}` is missing in {text}");
    }
}

fn the_good_version_is_promoted_and_the_bad_one_taken_back() {
    let began = std::time::Instant::now();
    let out = Command::new(binary()).arg("demo").output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    for word in ["completed", "rolled_back", "PagerDuty pages opened", "PagerDuty change events"] {
        assert!(text.contains(word), "`{word}` is missing in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains('…') && text.contains("sessions that v2 reached"), "a row is cut: {text}");
    assert!(began.elapsed().as_secs() < 60, "the demo took {:?}", began.elapsed());
}
