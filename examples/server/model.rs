//! The API that is sold: a model that only pretends.

use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis::api::Caller;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    model: String,
    prompt: String,
}

pub(crate) fn router() -> Router {
    Router::new().route("/v1/models", get(models)).route("/v1/completions", post(completions))
}

async fn models(_: Caller) -> Json<Value> {
    Json(json!({ "models": ["parrot-1", "parrot-1-mini"] }))
}

async fn completions(caller: Caller, Json(prompt): Json<Prompt>) -> Json<Value> {
    let text: String = prompt.prompt.chars().rev().collect();
    Json(json!({ "model": prompt.model, "text": text, "project": caller.project() }))
}
