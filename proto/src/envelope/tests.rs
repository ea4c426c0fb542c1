use super::*;
use proptest::prelude::*;

fn promote() -> Event {
    Event {
        id: "42 %\"é".to_owned(),
        source: "/ci/build".to_owned(),
        kind: "dev.tidegate.version.promote.v1".to_owned(),
        time: Some(At(1_700_000_000_123)),
        subject: None,
        tenant: Some("default".to_owned()),
        rollout_id: None,
        attempt: Some(3),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: None,
        data: serde_json::json!({"version": "1.4.0"}),
    }
}

#[test]
fn both_modes_give_the_same_event() {
    let event = promote();
    assert_eq!(Event::structured(event.to_json().as_bytes()), Ok(event.clone()));
    let (mut headers, body) = event.to_binary();
    assert!(headers["ce-id"].bytes().all(|b| (0x21..=0x7e).contains(&b)), "{headers:?}");
    assert_eq!(Event::read(&headers, body.as_bytes()), Ok(event.clone()));
    headers.insert("content-type".to_owned(), "Application/CloudEvents+json; charset=utf-8".to_owned());
    assert_eq!(Event::read(&headers, event.to_json().as_bytes()), Ok(event));
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = |body: &str| Event::structured(body.as_bytes()).unwrap_err().to_string();
    assert_eq!(wrong(r#"{"specversion":"1.0","id":"1","source":"/a"}"#), "the attribute `type` is missing");
    assert_eq!(
        wrong(r#"{"specversion":"0.3","id":"1","source":"/a","type":"b"}"#),
        "the attribute `specversion` is not 1.0"
    );
    assert_eq!(
        wrong(r#"{"specversion":"1.0","id":"1","id":"2"}"#),
        "the message is not good JSON: the key `id` stands twice at line 1 column 34"
    );
    assert_eq!(wrong("[1]"), "the message is not good JSON: an event is an object");
    assert!(wrong(&format!("{{\"data\":{}1{}}}", "[".repeat(40), "]".repeat(40))).contains("nested deeper"));
    assert!(wrong(&format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX))).contains("more than 65536"));
    assert!(wrong(r#"{"data":1e999}"#).contains("not good JSON"));
    assert!(
        wrong(r#"{"specversion":"1.0","id":"1","datacontenttype":"application/xml","data":"<a/>"}"#)
            .starts_with("the attribute `datacontenttype` is not JSON")
    );
}

#[test]
fn what_is_wrong_in_headers_is_named_too() {
    let read = |change: &[(&str, &str)], body: &str| {
        let mut headers = promote().to_binary().0;
        headers.extend(change.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Event::read(&headers, body.as_bytes()).map_err(|malformed| malformed.to_string())
    };
    let wrong = |change: &[(&str, &str)], body: &str| read(change, body).unwrap_err();
    assert_eq!(wrong(&[("ce-id", "")], "{}"), "the attribute `id` is missing");
    assert_eq!(wrong(&[("ce-source", "%zz")], "{}"), "the attribute `source` is not percent-encoded UTF-8");
    assert_eq!(wrong(&[("ce-specversion", "0.3")], "{}"), "the attribute `specversion` is not 1.0");
    assert!(wrong(&[], "no JSON").starts_with("`data` is not good JSON: "));
    assert_eq!(
        wrong(&[("ce-datacontenttype", "text/plain")], "no JSON"),
        "the attribute `datacontenttype` is not JSON, such as application/json"
    );
    for json in ["application/json; charset=utf-8", "Application/Vnd.x+JSON", "text/json"] {
        assert!(read(&[("ce-datacontenttype", json), ("content-type", json)], "{}").is_ok(), "{json}");
    }
    let none = BTreeMap::new();
    assert_eq!(Event::read(&none, promote().to_json().as_bytes()), Ok(promote()), "as people send it by hand");
}

proptest! {
    #[test]
    fn no_bytes_panic_the_reader(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::structured(&body);
        let _ = Event::binary(&BTreeMap::new(), &body);
    }
}
