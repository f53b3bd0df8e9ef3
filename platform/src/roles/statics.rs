//! What is the same for every customer: the static menu and its pictures. It says how long it may be kept,
//! so that the CDN answers for it and the servers are hardly ever asked.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::failure::Failure;
use super::miniapp::Services;

/// A menu changes a few times a day, a picture hardly ever.
const MENU: (header::HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=60");
const PICTURE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=3600");
/// Circles of foam in a picture: they give it the size that a small picture has.
const FOAM: u64 = 60;

pub(super) async fn menu(State(services): State<Arc<Services>>) -> Result<Response, Failure> {
    let products: Value = services.product.get("/api/products").await?;
    Ok(([MENU], Json(json!({ "menu": products }))).into_response())
}

/// `7.svg` is the picture of product 7.
pub(super) async fn picture(Path(name): Path<String>) -> Result<Response, Failure> {
    let product: u64 = name
        .strip_suffix(".svg")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Failure::NotFound(format!("there is no picture {name}")))?;
    Ok(([PICTURE, (header::CONTENT_TYPE, "image/svg+xml")], draw(product)).into_response())
}

fn draw(product: u64) -> String {
    let hue = product * 37 % 60 + 15;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 300\"><rect width=\"400\" height=\"300\" \
         fill=\"hsl({hue} 60% 92%)\"/><path d=\"M110 90h180l-20 150q-70 30-140 0z\" fill=\"hsl({hue} 45% 35%)\"/>"
    );
    for circle in 0..FOAM {
        let (x, y) = (120 + (circle * 53 + product * 7) % 160, 95 + (circle * 29 + product * 3) % 40);
        // Writing to a string does not fail.
        write!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{}\" fill=\"hsl({hue} 50% 80%)\"/>", 3 + circle % 7)
            .ok();
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_always_the_same_and_another_one_for_another_product() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).starts_with("<svg") && draw(7).ends_with("</svg>") && draw(7).len() > 3000);
    }
}
