use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Refuses every call without a look at its body, but `/whole`.
async fn connection() -> TcpStream {
    let app = Router::new()
        .route("/", post(async || StatusCode::UNAUTHORIZED))
        .route("/whole", post(async |body: Bytes| body))
        .layer(from_fn(taken));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    TcpStream::connect(address).await.unwrap()
}

/// The head of an answer, and its body where it has one.
async fn answer(socket: &mut TcpStream, end: &[u8]) -> String {
    let mut told = Vec::new();
    while !told.ends_with(end) {
        let mut byte = [0];
        assert_eq!(socket.read(&mut byte).await.unwrap(), 1, "closed without an answer");
        told.push(byte[0]);
    }
    String::from_utf8(told).unwrap().to_ascii_lowercase()
}

const HEAD_END: &[u8] = b"\r\n\r\n";

#[tokio::test]
async fn a_refusal_is_told_where_the_body_comes_late_and_the_connection_lives() {
    let mut socket = connection().await;
    for _ in 0..20 {
        socket
            .write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
            .await
            .unwrap();
        // Long enough that the call has been refused before its body comes.
        tokio::time::sleep(Duration::from_millis(10)).await;
        socket.write_all(b"12345").await.unwrap();
        let told = answer(&mut socket, HEAD_END).await;
        assert!(told.starts_with("http/1.1 401"), "{told}");
        assert!(!told.contains("connection: close"), "{told}");
    }
    socket
        .write_all(b"POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n")
        .await
        .unwrap();
    let told = answer(&mut socket, b"12345").await;
    assert!(!told.contains("connection: close"), "{told}");
}

#[tokio::test]
async fn who_sends_too_much_or_asks_first_is_told_that_the_connection_ends() {
    let long = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(300_000)
    );
    let asks = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let stops = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n123";
    for sent in [long.as_str(), asks, stops] {
        let mut socket = connection().await;
        socket.write_all(sent.as_bytes()).await.unwrap();
        let told = answer(&mut socket, HEAD_END).await;
        assert!(told.starts_with("http/1.1 401"), "{told}");
        assert!(told.contains("connection: close"), "{told}");
    }
}
