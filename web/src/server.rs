//! The routes, and serving them until told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::{CompressionLayer, CompressionLevel};

use crate::ask::Path;
use crate::guard::guard;
use crate::respond::{Prefs, Problem, secure};
use crate::{WebState, api, assets, events, healthz, metrics, pages};

/// How long open requests may go on after the shutdown began.
const GRACE: Duration = Duration::from_secs(3);

/// How hard answers are compressed: brotli beats gzip from here on, and takes about as long.
const COMPRESSION: i32 = 5;

/// Bytes of a request's body, at most.
const MAX_BODY: usize = 16 << 10;

/// All routes; event streams end when `shutdown` is cancelled.
pub fn router(state: WebState, shutdown: CancellationToken) -> Router {
    let changing = Router::new()
        .route("/api/v1/changes", post(api::changes::note))
        .route("/api/v1/reload", post(api::reload))
        .route("/api/v1/silences", post(api::silences::silence))
        .route("/api/v1/silences/{id}", delete(api::silences::end))
        .route("/api/v1/silences/{id}/end", post(api::silences::end))
        .route("/api/v1/maintenance", post(api::maintenance::announce))
        .route(
            "/api/v1/incidents/{id}/acknowledge",
            post(api::acknowledge::acknowledge).delete(api::acknowledge::unacknowledge),
        )
        .route("/api/v1/incidents/{id}/notes", post(api::acknowledge::note))
        .route("/api/v1/incidents/{id}/unacknowledge", post(api::acknowledge::unacknowledge))
        .route("/api/v1/curves/{name}", get(api::curves::one).post(api::curves::push))
        .route("/login", get(pages::login).post(pages::enter))
        .route("/logout", post(pages::leave))
        // Forms of the pages, that work without script.
        .route("/incidents/{id}", get(pages::incident).post(pages::incident_form))
        .route("/nodes/{name}", get(pages::node).post(pages::node_form))
        .route("/silences/{id}/end", post(pages::end_form))
        // Each instance may have a token of its own: of this one the guard stands inside.
        .route("/api/v1/heartbeat/{node}", post(api::heartbeat::report))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    Router::new()
        .merge(changing)
        .route("/", get(pages::wall))
        .route("/wall/{group}", get(pages::group))
        .route("/table", get(pages::table))
        .route("/history", get(pages::history))
        .route("/topology.svg", get(pages::topology))
        .route("/badge.svg", get(pages::platform_badge))
        .route("/badge/{file}", get(pages::node_badge))
        .route("/embed", get(pages::embed))
        .route("/favicon.ico", get(favicon))
        .route("/assets/{file}", get(topology_css))
        .route("/assets/{hash}/{file}", get(asset))
        .route("/api/v1/openapi.json", get(api::openapi))
        .route("/api/v1/health", get(api::health))
        .route("/api/v1/board", get(api::board))
        .route("/api/v1/incidents", get(api::incidents))
        .route("/api/v1/incidents/{id}", get(api::incident))
        .route("/api/v1/nodes/{name}", get(api::node))
        .route("/api/v1/topology", get(api::topology))
        .route("/api/v1/changes", get(api::changes::list))
        .route("/api/v1/silences", get(api::silences::list))
        .route("/api/v1/maintenance", get(api::maintenance::list))
        .route("/api/v1/audit", get(api::objectives::audit))
        .route("/api/v1/curves", get(api::curves::list))
        .route("/api/v1/objectives", get(api::objectives::list))
        .route("/api/v1/record", get(api::record))
        .route("/api/v1/history/availability", get(api::history::availability))
        .route("/api/v1/history/board", get(api::history::board))
        .route("/api/v1/history/changes", get(api::history::changes))
        .route("/api/v1/history/deliveries", get(api::history::deliveries))
        .route("/api/v1/history/incidents", get(api::history::incidents))
        .route("/api/v1/history/nodes/{name}", get(api::history::node))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/changes-since", get(events::poll))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(healthz::healthz))
        .fallback(missing)
        .method_not_allowed_fallback(not_allowed)
        // The one authorization layer, over every route and over what is none.
        .layer(from_fn_with_state(state.clone(), guard))
        .layer(Extension(shutdown))
        // Event streams are left uncompressed by the layer's own rule.
        .layer(CompressionLayer::new().quality(CompressionLevel::Precise(COMPRESSION)))
        .layer(CatchPanicLayer::new())
        .layer(map_response(secure))
        .with_state(state)
}

/// Serves until `shutdown` is cancelled, then lets open requests end within three seconds.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: WebState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let app = router(state, shutdown.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let stop = shutdown.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        result = server => result,
        () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests were still open three seconds after the shutdown began; closed them");
            Ok(())
        }
    }
}

async fn topology_css(State(state): State<WebState>, Path(file): Path<String>) -> Response {
    let hash = file.strip_prefix("wall-").and_then(|rest| rest.strip_suffix(".css"));
    match hash.and_then(|hash| state.stage_css(hash)) {
        Some(stage) => assets::immutable("text/css; charset=utf-8", stage.css.clone().into()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn asset(Path((hash, file)): Path<(String, String)>) -> Response {
    assets::serve(&hash, &file).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// Pages name their icon; a picture opened by itself cannot, and browsers ask for this.
async fn favicon() -> Response {
    asset(Path((assets::HASH.clone(), "icon.svg".to_owned()))).await
}

async fn missing(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return Problem::not_found(format!("there is no {path}")).into_response();
    }
    pages::not_found(&Prefs::of_request(&request))
}

/// The method is none of this route's.
pub(crate) async fn not_allowed(request: Request) -> Response {
    let allowed = match request.uri().path() {
        "/api/v1/reload" | "/logout" => "POST",
        path if path.starts_with("/api/v1/heartbeat/") => "POST",
        "/api/v1/changes" | "/api/v1/silences" | "/api/v1/maintenance" | "/login" => "GET, HEAD, POST",
        path if path.starts_with("/api/v1/curves/") => "GET, HEAD, POST",
        path if path.starts_with("/api/v1/silences/") && path.ends_with("/end") => "POST",
        path if path.starts_with("/api/v1/silences/") => "DELETE",
        path if path.ends_with("/acknowledge") => "POST, DELETE",
        path if path.ends_with("/unacknowledge") || path.ends_with("/notes") => "POST",
        path if path.starts_with("/silences/") => "POST",
        path if path.starts_with("/incidents/") || path.starts_with("/nodes/") => "GET, HEAD, POST",
        _ => "GET, HEAD",
    };
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    response.headers_mut().insert(axum::http::header::ALLOW, HeaderValue::from_static(allowed));
    response
}
