//! Each shape of the proxy does what its description says, seen from both of its ends.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::ends::{Client, Echo, Heard, SILENCE};
use crate::proxy::{DRIP, OVERTAKE, Proxy, Shape};

/// A client that has talked through a proxy.
async fn scene() -> (Proxy, Echo, Client) {
    let mut echo = Echo::start().await;
    let proxy = Proxy::start(echo.addr);
    let mut client = Client::of(&proxy).await;
    echo.hears(Heard::Opened).await;
    client.talks(&mut echo, "hello").await;
    (proxy, echo, client)
}

async fn another(proxy: &Proxy, echo: &mut Echo) -> Client {
    let client = Client::of(proxy).await;
    echo.hears(Heard::Opened).await;
    client
}

#[tokio::test]
async fn pass_hands_on_bytes_and_ends() {
    let (proxy, mut echo, mut client) = scene().await;
    let much = "0123456789abcdef".repeat(64 * 1024);
    let (mut hear, mut say) = client.0.split();
    let mut back = vec![0; much.len()];
    let (said, heard) = tokio::join!(say.write_all(much.as_bytes()), hear.read_exact(&mut back));
    said.unwrap();
    heard.unwrap();
    assert!(back == much.as_bytes());
    while echo.heard.try_recv().is_ok() {}
    client.0.shutdown().await.unwrap();
    echo.hears(Heard::Ended).await;
    client.hears_the_end().await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_reset_on_one_side_is_one_on_the_other() {
    let (_proxy, mut echo, client) = scene().await;
    client.0.set_zero_linger().unwrap();
    drop(client);
    echo.hears(Heard::Broke).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    // Bound, so that nobody else gets the port; listening nowhere.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = Proxy::start(nobody.local_addr().unwrap());
    Client::of(&proxy).await.is_reset().await;
}

#[tokio::test]
async fn cut_resets_both_sides_of_what_is_there_and_lets_new_ones_pass() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Stall);
    client.says("lost").await;
    proxy.set(Shape::Cut);
    client.is_reset().await;
    echo.hears(Heard::Broke).await;
    let mut new = another(&proxy, &mut echo).await;
    new.talks(&mut echo, "new").await;
    proxy.set(Shape::Pass);
    new.talks(&mut echo, "still").await;
    // One that the proxy may not have seen before the order.
    let mut just_now = Client::of(&proxy).await;
    proxy.set(Shape::Cut);
    just_now.is_reset().await;
    new.is_reset().await;
}

#[tokio::test]
async fn refuse_resets_what_is_there_and_closes_new_ones_until_it_ends() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Refuse);
    client.is_reset().await;
    echo.hears(Heard::Broke).await;
    Client::of(&proxy).await.is_closed().await;
    echo.hears_nothing().await;
    proxy.set(Shape::Pass);
    another(&proxy, &mut echo).await.talks(&mut echo, "again").await;
    assert_eq!(proxy.accepted(), 3);
}

#[tokio::test]
async fn stall_moves_nothing_in_either_direction_and_delivers_late() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Stall);
    client.says("late").await;
    let mut new = another(&proxy, &mut echo).await;
    new.says("too").await;
    echo.hears_nothing().await;
    client.hears_nothing().await;
    proxy.set(Shape::Pass);
    client.hears("late").await;
    new.hears("too").await;
}

#[tokio::test]
async fn stall_holds_ends_and_resets_like_bytes() {
    let (proxy, mut echo, mut client) = scene().await;
    let resets = another(&proxy, &mut echo).await;
    proxy.set(Shape::Stall);
    client.says("bye").await;
    client.0.shutdown().await.unwrap();
    echo.hears_nothing().await;
    resets.0.set_zero_linger().unwrap();
    drop(resets);
    echo.hears_nothing().await;
    proxy.set(Shape::Pass);
    client.hears("bye").await;
    client.hears_the_end().await;
    let mut heard = Vec::new();
    while let Ok(Some(next)) = timeout(SILENCE, echo.heard.recv()).await {
        heard.push(next);
    }
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(heard.contains(&Heard::Broke) && heard.contains(&Heard::Ended), "{heard:?}");
}

#[tokio::test]
async fn stall_answers_lets_requests_through_and_delivers_their_answers_late() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::StallAnswers);
    client.says("a").await;
    echo.hears_text("a").await;
    client.says("b").await;
    echo.hears_text("b").await;
    client.hears_nothing().await;
    proxy.set(Shape::Pass);
    client.hears("ab").await;
}

#[tokio::test]
async fn half_close_ends_the_answers_only_and_for_good() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::HalfClose);
    client.hears_the_end().await;
    client.says("one").await;
    echo.hears_text("one").await;
    let mut new = another(&proxy, &mut echo).await;
    new.hears_the_end().await;
    new.says("two").await;
    echo.hears_text("two").await;
    proxy.set(Shape::Pass);
    client.says("three").await;
    echo.hears_text("three").await;
    client.hears_the_end().await;
    client.0.shutdown().await.unwrap();
    echo.hears(Heard::Ended).await;
    another(&proxy, &mut echo).await.talks(&mut echo, "whole").await;
}

#[tokio::test]
async fn delay_makes_everything_late_in_order_without_slowing_the_flow() {
    const LATE: Duration = Duration::from_millis(500);
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Delay(LATE));
    let begun = Instant::now();
    for text in ["1", "2", "3", "4"] {
        client.says(text).await;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    echo.hears_text("1").await;
    assert!(begun.elapsed() >= LATE);
    client.hears("1").await;
    assert!(begun.elapsed() >= 2 * LATE);
    client.hears("234").await;
    // A delay that held up what comes behind would take as long again.
    assert!(begun.elapsed() < 3 * LATE, "{:?}", begun.elapsed());
    client.says("now").await;
    proxy.set(Shape::Pass);
    client.hears("now").await;
}

#[tokio::test]
async fn drip_brings_answers_byte_by_byte() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Drip);
    let text = "drop by drop ".repeat(10);
    let begun = Instant::now();
    client.says(&text).await;
    echo.hears_text(&text).await;
    client.hears(&text).await;
    assert!(begun.elapsed() >= DRIP * 129, "{:?}", begun.elapsed());
    let long = "x".repeat(1000);
    client.says(&long).await;
    echo.hears_text(&long).await;
    proxy.set(Shape::Pass);
    let begun = Instant::now();
    client.hears(&long).await;
    assert!(begun.elapsed() < DRIP * 500, "the rest comes at once");
}

#[tokio::test]
async fn reorder_lets_the_second_connection_come_up_before_the_first() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Reorder);
    client.talks(&mut echo, "old ones pass").await;
    let mut quick = false;
    // On a machine too busy to tell, the first has had its time.
    for _ in 0..20 {
        let begun = Instant::now();
        let mut first = Client::of(&proxy).await;
        first.says("first").await;
        let mut second = Client::of(&proxy).await;
        second.says("second").await;
        second.hears("second").await;
        first.hears("first").await;
        quick = begun.elapsed() < OVERTAKE;
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.extend(echo.heard.recv().await);
        }
        let text = |text: &str| Heard::Text(text.to_owned());
        if quick {
            assert_eq!(heard, [Heard::Opened, text("second"), Heard::Opened, text("first")]);
        }
        for mut client in [first, second] {
            client.0.shutdown().await.unwrap();
            client.hears_the_end().await;
            echo.hears(Heard::Ended).await;
        }
        if quick {
            break;
        }
    }
    assert!(quick, "the second never let the first go");
    let begun = Instant::now();
    let mut alone = Client::of(&proxy).await;
    alone.says("alone").await;
    alone.hears("alone").await;
    assert!(begun.elapsed() >= OVERTAKE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn blackhole_keeps_new_ones_from_the_server_and_stalls_the_rest() {
    let (proxy, mut echo, mut client) = scene().await;
    proxy.set(Shape::Blackhole);
    client.says("old").await;
    let mut new = Client::of(&proxy).await;
    new.says("new").await;
    echo.hears_nothing().await;
    client.hears_nothing().await;
    proxy.set(Shape::Pass);
    client.hears("old").await;
    new.hears("new").await;
}

#[tokio::test]
async fn a_dropped_proxy_is_gone_with_its_connections() {
    let (proxy, mut echo, mut client) = scene().await;
    drop(proxy);
    client.is_closed().await;
    echo.hears(Heard::Ended).await;
}
