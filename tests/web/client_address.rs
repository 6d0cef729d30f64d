//! Whose address counts.

use core::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};

use crate::site::{CONSOLE, Reply, Site, options, send, with_json};
use crate::world::{PASSWORD, World};

struct Behind {
    site: Site,
    bearer: String,
}

impl Behind {
    /// A key that works from 203.0.113.0/24, behind so many proxies.
    async fn new(hops: usize) -> Self {
        let site = Site::over(World::memory().await, options());
        let (_, token) = site.person("ann@example.com").await;
        let (workspace, project) = site.home(&token).await;
        let body = json!({ "project": project, "name": "k", "environment": "live", "scopes": ["models.read"],
            "allowlist": ["203.0.113.0/24"] });
        let path = format!("/v1/workspaces/{workspace}/keys");
        let issued = site.post(&path, Some(&token), &body).await.ok(201).json();
        let bearer = format!("Bearer {}", issued["text"].as_str().unwrap());
        Self { site: Site::over(site.world, options().trusted_hops(hops)), bearer }
    }

    async fn call(&self, peer: Option<&str>, forwarded: &[&str]) -> u16 {
        let mut call = Request::builder().uri("/v1/models").header("authorization", &self.bearer);
        if let Some(peer) = peer {
            call = call.extension(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        for value in forwarded {
            call = call.header("x-forwarded-for", *value);
        }
        for name in ["forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip"] {
            call = call.header(name, "203.0.113.1");
        }
        send(&self.site.api, call.body(Body::empty()).unwrap()).await.status.as_u16()
    }
}

/// ATK-KEY-07, ASVS-5.0-15.3.4
#[tokio::test]
async fn without_trusted_proxies_only_the_peer_counts() {
    let direct = Behind::new(0).await;
    assert_eq!(direct.call(Some("203.0.113.9:1"), &[]).await, 200);
    assert_eq!(direct.call(Some("[::ffff:203.0.113.9]:1"), &[]).await, 200);
    assert_eq!(direct.call(Some("203.0.113.9:1"), &["198.51.100.1"]).await, 200);
    for forwarded in [&["203.0.113.9"][..], &["203.0.113.9", "203.0.113.9"], &["203.0.113.9, 203.0.113.9"]] {
        assert_eq!(direct.call(Some("198.51.100.1:1"), forwarded).await, 403);
        assert_eq!(direct.call(None, forwarded).await, 403);
    }
}

/// ATK-KEY-07, ASVS-5.0-15.3.4
#[tokio::test]
async fn behind_two_proxies_the_second_address_from_the_right_counts() {
    let behind = Behind::new(2).await;
    let proxy = Some("10.0.0.2:1");
    for (forwarded, status) in [
        (&["203.0.113.9, 10.0.0.1"][..], 200),
        (&["203.0.113.9", "10.0.0.1"], 200),
        (&["198.51.100.1, 203.0.113.9:5000, 10.0.0.1"], 200),
        (&["198.51.100.1", "[::ffff:203.0.113.9]:5000", "10.0.0.1"], 200),
        // The client's own claims, to the left.
        (&["203.0.113.9, 198.51.100.1, 10.0.0.1"], 403),
        (&["203.0.113.9", "198.51.100.1, 10.0.0.1"], 403),
        (&["198.51.100.1, 203.0.113.9"], 403),
        // Not as configured: refused, not guessed.
        (&[], 400),
        (&["203.0.113.9"], 400),
        (&["unknown, 10.0.0.1"], 400),
        (&["203.0.113.9,, 10.0.0.1"], 400),
    ] {
        assert_eq!(behind.call(proxy, forwarded).await, status, "{forwarded:?}");
    }
    // The peer's own address is never taken for the client's.
    assert_eq!(behind.call(Some("203.0.113.9:1"), &[]).await, 400);
}

/// ASVS-5.0-15.3.4: the session list shows the client, and what it calls itself.
#[tokio::test]
async fn a_session_remembers_the_clients_address_and_agent() {
    let site = Site::over(World::memory().await, options().trusted_hops(1));
    site.world.person("ann@example.com").await;
    let call = Request::builder()
        .method("POST")
        .uri("/v1/sign-in")
        .header("origin", CONSOLE)
        .header("user-agent", "browser/1.0")
        .header("x-forwarded-for", "1.1.1.1, 203.0.113.77")
        .extension(ConnectInfo("10.0.0.1:1".parse::<SocketAddr>().unwrap()));
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    let source =
        send(&site.dashboard, with_json(call, &body)).await.ok(200).json()["session"]["source"].clone();
    assert_eq!(source["address"], "203.0.113.77");
    assert_eq!(source["user_agent"], "browser/1.0");
}
