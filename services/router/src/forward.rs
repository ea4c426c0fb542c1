//! One request: find its route, choose its arm, send it on, wait for the head of the answer.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{EXPECT, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::client::legacy::{Error as ClientError, ResponseFuture};
use tokio::time::{Instant, sleep_until};

use crate::body::{Answer, Counted};
use crate::counts::Counts;
use crate::headers::{self, MODEL_VERSION, ROLLOUT_ARM, ROLLOUT_ID};
use crate::key::{self, REQUEST_ID, RequestId};
use crate::named::Named;
use crate::observe;
use crate::problem::Refusal;
use crate::proxy::Limits;
use crate::routes::Routes;
use crate::served::{Served, ServedArm};
use crate::ticket::{Ending, Ticket};
use crate::tunnel::{self, Line, Wish};
use crate::upload::{Progress, Upload};
use crate::upstream::UpstreamClient;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) routes: Routes,
    pub(crate) counts: Counts,
    pub(crate) client: UpstreamClient,
    pub(crate) limits: Limits,
    pub(crate) named: Named,
}

/// Who asks.
#[derive(Clone, Copy)]
struct Sender<'a> {
    request_id: &'a RequestId,
    line: &'a Line,
}

/// A request that is on its way to an arm.
struct Call {
    answer: ResponseFuture,
    progress: Option<Arc<Progress>>,
    wish: Option<Wish>,
}

/// Why no head came.
enum NoHead {
    NotConnected,
    NoAnswer,
    TimedOut,
    /// The client's upload stopped: not the arm's fault.
    CutUpload,
}

impl Forward {
    /// Answers a request; never fails, since every failure is an answer.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        line: Arc<Line>,
    ) -> Result<Response<Answer>, Infallible> {
        let served = match self.route(&request) {
            Ok(served) => served,
            Err(refusal) => return Ok(refusal.answer()),
        };
        let request_id = RequestId::of(request.headers());
        let key = key::of(&served, request.headers(), &request_id);
        let named = self.named.arm(&served, request.headers(), line.peer);
        let arm = named.as_ref().unwrap_or_else(|| served.arm_of(&key));
        let ticket = Ticket::begin(&served, arm, &key);
        let mut response = match self.onward(request, &served, arm, Sender { request_id: &request_id, line: &line }) {
            Ok(call) => self.await_answer(call, arm, &line, ticket).await,
            Err(refusal) => refusal.answer(),
        };
        let headers = response.headers_mut();
        mark(headers, &served, arm);
        if request_id.is_made {
            headers.insert(REQUEST_ID, request_id.value);
        }
        Ok(response)
    }

    fn route(&self, request: &Request<Incoming>) -> Result<Arc<Served>, Refusal> {
        let shared = &self.counts.shared;
        let sound = headers::fit(request).and_then(|()| headers::host_of(request));
        let host = sound.inspect_err(|_| _ = shared.bad_requests.fetch_add(1, Relaxed))?;
        let path = request.uri().path();
        let Some(served) = self.routes.table().find(host, path).cloned() else {
            shared.unrouted.fetch_add(1, Relaxed);
            return Err(Refusal::no_route(path));
        };
        Ok(served)
    }

    /// Begins the call of the arm's upstream.
    fn onward(
        &self,
        mut request: Request<Incoming>,
        served: &Served,
        arm: &ServedArm,
        sender: Sender<'_>,
    ) -> Result<Call, Refusal> {
        let wish = Wish::take(&mut request);
        let (mut parts, body) = request.into_parts();
        let prefix = served.route().matches.path_prefix.as_ref().map_or(0, String::len);
        let uri = arm.upstream.uri(parts.uri.path().get(prefix..).unwrap_or_default(), parts.uri.query());
        parts.uri = uri.ok_or_else(|| Refusal::bad_request("the path cannot be joined with the upstream's"))?;
        parts.version = Version::HTTP_11;
        let host = parts.headers.get(HOST).cloned();
        headers::leave_connection(&mut parts.headers);
        // The server side said `100 Continue` itself, or will when the body is first read.
        parts.headers.remove(EXPECT);
        parts.headers.remove(MODEL_VERSION);
        if let Some(host) = host {
            headers::add_forwarded(&mut parts.headers, sender.line.peer, &host);
        }
        parts.headers.insert(HOST, arm.upstream.host.clone());
        parts.headers.insert(REQUEST_ID, sender.request_id.value.clone());
        for (name, value) in &arm.headers {
            parts.headers.insert(name, value.clone());
        }
        if let Some(wish) = &wish {
            tunnel::offer(&mut parts.headers, wish.protocols.clone());
        }
        let (upload, progress) = Upload::new(body, self.limits.idle_body);
        Ok(Call { answer: self.client.request(Request::from_parts(parts, upload)), progress, wish })
    }

    async fn await_answer(&self, call: Call, arm: &ServedArm, line: &Line, mut ticket: Ticket) -> Response<Answer> {
        let Call { answer, progress, wish } = call;
        let head = self.await_head(answer, progress.as_deref(), &mut ticket).await;
        let age = ticket.since.elapsed();
        let version = arm.version.to_str().unwrap_or_default();
        let (refusal, status, ending) = match head {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                match wish.and_then(|wish| Some((wish.granted(response.headers())?, wish))) {
                    Some((granted, wish)) => return self.switch(response, ticket, (granted, wish), line),
                    // What nobody asked for is no answer.
                    None => (Refusal::broken(version), StatusCode::BAD_GATEWAY, Ending::NoAnswer),
                }
            }
            Ok(response) => return self.pass(response, ticket, age),
            // The dropped ticket counts as the client's abort.
            Err(NoHead::CutUpload) => return Refusal::cut_upload().answer(),
            Err(NoHead::NotConnected) => (Refusal::unreachable(version), StatusCode::BAD_GATEWAY, Ending::NotConnected),
            Err(NoHead::NoAnswer) => (Refusal::broken(version), StatusCode::BAD_GATEWAY, Ending::NoAnswer),
            Err(NoHead::TimedOut) => {
                let refusal = Refusal::timed_out(version, self.limits.head_timeout.as_secs_f64());
                (refusal, StatusCode::GATEWAY_TIMEOUT, Ending::TimedOut)
            }
        };
        ticket.answered_for(status);
        ticket.end(ending, age);
        refusal.answer()
    }

    /// Waits for the head, as long as the upstream may take from the moment it has the whole request.
    async fn await_head(
        &self,
        call: ResponseFuture,
        progress: Option<&Progress>,
        ticket: &mut Ticket,
    ) -> Result<Response<Incoming>, NoHead> {
        let mut call = pin!(call);
        loop {
            let handed_over = progress.map_or(Some(ticket.since), Progress::handed_over);
            let age = handed_over.map_or(Duration::ZERO, |since| since.elapsed());
            let Some(mut left) = self.limits.head_timeout.checked_sub(age).filter(|left| !left.is_zero()) else {
                ticket.since = handed_over.unwrap_or(ticket.since);
                return Err(NoHead::TimedOut);
            };
            if let Some(until) = ticket.aged(age) {
                left = left.min(until);
            }
            tokio::select! {
                biased;
                answer = &mut call => {
                    ticket.since = progress.and_then(Progress::handed_over).unwrap_or(ticket.since);
                    return answer.map_err(|error| why(&error, progress));
                }
                () = sleep_until(Instant::now() + left) => {}
            }
        }
    }

    /// Changes the protocol on both sides; the request has ended well with that.
    fn switch(
        &self,
        mut response: Response<Incoming>,
        mut ticket: Ticket,
        (granted, wish): (HeaderValue, Wish),
        line: &Line,
    ) -> Response<Answer> {
        let age = ticket.since.elapsed();
        ticket.headed(response.status(), age);
        let upstream = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        headers::leave_connection(&mut parts.headers);
        tunnel::offer(&mut parts.headers, granted);
        let (observations, ignored) = observe::take(&mut parts.headers);
        ticket.observed(&observations, ignored);
        ticket.end(Ending::Whole, age);
        parts.version = Version::HTTP_11;
        wish.tunnel(upstream, line, self.limits.idle_tunnel);
        Response::from_parts(parts, Answer::Ours(Full::default()))
    }

    /// Sends the answer of the upstream on.
    fn pass(&self, response: Response<Incoming>, mut ticket: Ticket, age: Duration) -> Response<Answer> {
        let (mut parts, body) = response.into_parts();
        ticket.headed(parts.status, age);
        headers::leave_connection(&mut parts.headers);
        let (observations, ignored) = observe::take(&mut parts.headers);
        ticket.observed(&observations, ignored);
        parts.version = Version::HTTP_11;
        Response::from_parts(parts, Answer::Theirs(Counted::new(body, ticket, age, self.limits.idle_body)))
    }
}

fn why(error: &ClientError, progress: Option<&Progress>) -> NoHead {
    if progress.is_some_and(Progress::is_cut) {
        return NoHead::CutUpload;
    }
    tracing::debug!(error = error as &dyn std::error::Error, "no answer of the upstream");
    if error.is_connect() { NoHead::NotConnected } else { NoHead::NoAnswer }
}

/// Says which arm answered, or should have.
fn mark(headers: &mut HeaderMap, served: &Served, arm: &ServedArm) {
    headers.insert(MODEL_VERSION, arm.version.clone());
    headers.insert(ROLLOUT_ARM, HeaderValue::from_static(arm.role.as_str()));
    match &served.rollout_id {
        Some(id) => _ = headers.insert(ROLLOUT_ID, id.clone()),
        None => _ = headers.remove(ROLLOUT_ID),
    }
}
