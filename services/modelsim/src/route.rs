//! The paths that the simulator answers, as values.

use hyper::Method;

use crate::dials::Reach;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Metrics,
    Info,
    Health,
    Predict,
    PredictBatch,
    PredictStream,
    ReadDials,
    PatchDials,
    WrongMethod,
    UnknownPath,
}

impl Route {
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let (route, allowed) = match path {
            "/metrics" => (Self::Metrics, Method::GET),
            "/info" => (Self::Info, Method::GET),
            "/health" => (Self::Health, Method::GET),
            "/predict" => (Self::Predict, Method::POST),
            "/predict/batch" => (Self::PredictBatch, Method::POST),
            "/predict/stream" => (Self::PredictStream, Method::POST),
            "/dials" if method == Method::PATCH => (Self::PatchDials, Method::PATCH),
            "/dials" => (Self::ReadDials, Method::GET),
            _ => return Self::UnknownPath,
        };
        if *method == allowed { route } else { Self::WrongMethod }
    }

    /// Whether a fault with this reach touches a request for this route.
    pub(crate) fn is_within(self, reach: Reach) -> bool {
        match reach {
            Reach::Off => false,
            Reach::Predictions => self.is_prediction(),
            Reach::Everything => !matches!(self, Self::ReadDials | Self::PatchDials),
        }
    }

    /// Whether answers for this route are counted as predictions.
    pub(crate) fn is_prediction(self) -> bool {
        matches!(self, Self::Predict | Self::PredictBatch | Self::PredictStream)
    }
}
