//! Any HTTP receiver: the news as the CloudEvent that it is, signed.
//!
//! `x-tidegate-signature: t=<seconds since 1970>,v1=<hex>`, where `v1` is HMAC-SHA256 over `<t>.<body>` with the shared secret:
//! a receiver computes it over the raw body, compares in constant time, and refuses what is older than five minutes.

use chassis::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::{HeaderName, HeaderValue};
use rollout::At;
use sha2::Sha256;
use store::Delivery;

use crate::outbound::{Target, post};
use crate::sender::{Answer, sorted};

const SIGNATURE: HeaderName = HeaderName::from_static("x-tidegate-signature");
const REPEAT: HeaderName = HeaderName::from_static("x-tidegate-repeat");

/// A receiver that shares a secret with us.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    target: Target,
    secret: Secret,
}

impl Webhook {
    pub(crate) const fn new(target: Target, secret: Secret) -> Self {
        Self { target, secret }
    }

    pub(crate) async fn send(&self, row: &Delivery, now: At) -> Answer {
        let body = row.body.to_string();
        let signature = signature(self.secret.expose(), now.0 / 1_000, &body);
        let mut headers =
            vec![(SIGNATURE, HeaderValue::from_str(&signature).expect("digits and letters are printable"))];
        if row.is_unsure {
            headers.push((REPEAT, HeaderValue::from_static("true")));
        }
        let reply = post(&self.target, &headers, body.into_bytes(), now).await;
        sorted(reply, |text| self.secret.hidden_in(text))
    }
}

fn signature(secret: &str, seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_signature_is_hmac_sha256_over_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hush
        let expected = "7cfd1df542c33ab7251748ffdc6e7fed278c63b83d4ece95a4534b0ad465571b";
        assert_eq!(super::signature("hush", 1_700_000_000, r#"{"a":1}"#), format!("t=1700000000,v1={expected}"));
    }
}
