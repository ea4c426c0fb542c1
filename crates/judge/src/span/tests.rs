use serde_json::json;

use super::Span;

fn read(value: serde_json::Value) -> Result<Span, String> {
    serde_json::from_value(value).map_err(|cause| cause.to_string())
}

#[test]
fn spans_are_read_from_words_and_from_seconds() {
    for (value, ms) in
        [(json!("90s"), 90_000), (json!("1h 30m"), 5_400_000), (json!(30), 30_000), (json!(0.25), 250), (json!(0), 0)]
    {
        assert_eq!(read(value.clone()), Ok(Span(ms)), "{value}");
    }
}

#[test]
fn spans_are_written_as_people_say_them_and_read_back() {
    for (span, text) in [(Span::from_secs(90), "1m 30s"), (Span(1500), "1s 500ms"), (Span(0), "0s")] {
        assert_eq!(serde_json::to_value(span).unwrap(), json!(text));
        assert_eq!(read(json!(text)), Ok(span));
    }
}

#[test]
fn a_bad_span_names_its_text_and_says_what_to_write() {
    let message = read(json!("5x")).unwrap_err();
    assert!(message.starts_with("bad duration `5x`: "), "{message}");
    assert!(message.ends_with("; write `90s`, `30m` or `1h`"), "{message}");
    assert!(read(json!("11y")).unwrap_err().contains("more than ten years"));
    assert!(read(json!(1e300)).is_err());
    assert!(read(json!(-1)).unwrap_err().contains("0 seconds or more"));
    assert!(Span::from_secs_f64(f64::NAN).is_err());
    assert!(read(json!([1])).is_err());
}
