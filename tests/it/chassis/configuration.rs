//! Configuration: every mistake is reported, not only the first.

use std::net::SocketAddr;

use ::chassis::Environment;

fn environment(name: &str) -> Option<String> {
    match name {
        "ADDRESS" => Some("127.0.0.1:1".to_owned()),
        "PORT" => Some("many".to_owned()),
        "SHARE" => Some("\u{1b}[2J".to_owned()),
        _ => None,
    }
}

#[test]
fn what_is_set_counts_and_what_is_not_has_its_default() {
    let mut environment = Environment::new(environment);
    let address: SocketAddr = environment.read("ADDRESS", SocketAddr::from(([0, 0, 0, 0], 0)));
    assert_eq!((address.port(), environment.read("MISSING", 7)), (1, 7));
    environment.finish().unwrap();
}

#[test]
fn all_mistakes_are_said_together_and_without_control_characters() {
    let mut environment = Environment::new(environment);
    assert_eq!((environment.read("PORT", 7), environment.read("SHARE", 0.5)), (7, 0.5));
    environment.mistake("PORT and ADDRESS can't be given together");
    let said = environment.finish().unwrap_err().to_string();
    let expected = "can't start with this configuration:\n  PORT: `many`: invalid digit found in string\n  \
                    SHARE: `\\u{1b}[2J`: invalid float literal\n  PORT and ADDRESS can't be given together";
    assert_eq!(said, expected);
}
