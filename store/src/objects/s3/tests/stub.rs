//! A small S3 over plain HTTP. It keeps objects in memory, and lets a test
//! answer in its place, before or after the object has landed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::objects::{Credentials, ObjectSettings, Opened, open};

/// A request, as it came.
#[derive(Clone, Debug, Default)]
pub(in crate::objects::s3) struct Request {
    pub(in crate::objects::s3) method: String,
    /// Below the bucket, without a slash at its start.
    pub(in crate::objects::s3) key: String,
    pub(in crate::objects::s3) query: String,
    pub(in crate::objects::s3) headers: BTreeMap<String, String>,
    pub(in crate::objects::s3) body: Vec<u8>,
    /// The how-manieth with this method, key and query, from 1.
    pub(in crate::objects::s3) nth: usize,
}

impl Request {
    pub(in crate::objects::s3) fn is_create(&self) -> bool {
        self.method == "PUT" && self.headers.contains_key("if-none-match")
    }

    pub(in crate::objects::s3) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the test wants to be said.
#[derive(Clone, Debug)]
pub(in crate::objects::s3) struct Answer {
    pub(in crate::objects::s3) status: u16,
    pub(in crate::objects::s3) body: String,
    /// The request is done first, and only its answer replaced.
    pub(in crate::objects::s3) lands: bool,
    /// The connection is cut instead of an answer.
    pub(in crate::objects::s3) cut: bool,
    /// No answer ever comes.
    pub(in crate::objects::s3) hangs: bool,
    /// An object that lands first, before the request is done as usual: an
    /// earlier request that was given up.
    pub(in crate::objects::s3) late: Option<(String, Vec<u8>)>,
}

impl Answer {
    pub(in crate::objects::s3) fn body(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
            lands: false,
            cut: false,
            hangs: false,
            late: None,
        }
    }

    pub(in crate::objects::s3) fn status(status: u16) -> Self {
        Self::body(status, "")
    }

    pub(in crate::objects::s3) fn code(status: u16, code: &str) -> Self {
        Self::body(status, &format!("<Error><Code>{code}</Code></Error>"))
    }

    pub(in crate::objects::s3) fn landed(mut self) -> Self {
        self.lands = true;
        self
    }

    pub(in crate::objects::s3) fn hangs() -> Self {
        Self {
            hangs: true,
            ..Self::status(0)
        }
    }

    pub(in crate::objects::s3) fn late(key: &str, body: Vec<u8>) -> Self {
        Self {
            late: Some((key.to_owned(), body)),
            ..Self::status(0)
        }
    }

    pub(in crate::objects::s3) fn cut() -> Self {
        Self {
            cut: true,
            ..Self::status(0)
        }
    }
}

type Script = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    seen: Vec<Request>,
}

/// The server. It ends with the test's runtime.
#[derive(Clone)]
pub(in crate::objects::s3) struct Stub {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Stub {
    /// `script` answers first; where it says nothing, the stub does as S3 does.
    pub(in crate::objects::s3) async fn start(
        script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        let script: Arc<Script> = Arc::new(script);
        let serving = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (stub, script) = (serving.clone(), Arc::clone(&script));
                tokio::spawn(async move { stub.serve(stream, script.as_ref()).await });
            }
        });
        stub
    }

    /// Its address.
    pub(in crate::objects::s3) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The bucket, with keys of the test's and `settings` for the rest.
    pub(in crate::objects::s3) async fn open(&self, settings: ObjectSettings) -> Opened {
        let credentials = match settings.credentials {
            Credentials::Missing => Credentials::Static {
                from: "the test",
                access_key_id: "id".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: None,
            },
            given => given,
        };
        let settings = ObjectSettings {
            endpoint: Some(self.endpoint.clone()),
            credentials,
            ..settings
        };
        open("s3://bucket", &settings).await.unwrap()
    }

    /// Every request that came, in order.
    pub(in crate::objects::s3) fn seen(&self) -> Vec<Request> {
        self.state.lock().seen.clone()
    }

    /// What lies at `key`.
    pub(in crate::objects::s3) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.state.lock().objects.get(key).cloned()
    }

    /// Uploads in parts that were neither ended nor aborted.
    pub(in crate::objects::s3) fn open_uploads(&self) -> usize {
        self.state.lock().uploads.len()
    }

    /// What is answered; `None` cuts the connection, status 0 never answers.
    fn handle(&self, request: &mut Request, script: &Script) -> Option<Reply> {
        let mut state = self.state.lock();
        let same = |r: &&Request| {
            (&r.method, &r.key, &r.query) == (&request.method, &request.key, &request.query)
        };
        request.nth = 1 + state.seen.iter().filter(same).count();
        state.seen.push(request.clone());
        let Some(wanted) = script(request) else {
            return Some(state.answer(request));
        };
        if let Some((key, body)) = wanted.late {
            state.objects.entry(key).or_insert(body);
            return Some(state.answer(request));
        }
        if wanted.lands {
            state.answer(request);
        }
        if wanted.cut {
            return None;
        }
        let status = if wanted.hangs { 0 } else { wanted.status };
        Some((status, String::new(), wanted.body.into_bytes()))
    }

    async fn serve(&self, mut stream: TcpStream, script: &Script) {
        let mut rest = Vec::new();
        while let Some(mut request) = read_request(&mut stream, &mut rest).await {
            let Some((status, extra, body)) = self.handle(&mut request, script) else {
                return;
            };
            if status == 0 {
                std::future::pending::<()>().await;
            }
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{extra}\r\n",
                body.len()
            );
            let mut out = head.into_bytes();
            if request.method != "HEAD" {
                out.extend(body);
            }
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
    }
}

type Reply = (u16, String, Vec<u8>);

impl State {
    /// Status, headers and body, as S3 would answer.
    fn answer(&mut self, request: &Request) -> Reply {
        const META: &str = "etag: \"e\"\r\nlast-modified: Sat, 22 Nov 2025 12:00:00 GMT\r\n";
        let meta = || META.to_owned();
        let upload = request
            .query
            .split('&')
            .find_map(|p| p.strip_prefix("uploadId="));
        let part = request
            .query
            .split('&')
            .find_map(|p| p.strip_prefix("partNumber="));
        match (request.method.as_str(), upload) {
            ("POST", None) if request.query.starts_with("uploads") => {
                let id = format!("u{}", self.seen.len());
                self.uploads.insert(id.clone(), BTreeMap::new());
                let xml = format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                (200, String::new(), xml.into_bytes())
            }
            ("POST", Some(id)) => {
                let parts = self.uploads.remove(id).unwrap_or_default();
                let whole = parts.into_values().flatten().collect();
                self.objects.insert(request.key.clone(), whole);
                let xml =
                    "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>";
                (200, String::new(), xml.as_bytes().to_vec())
            }
            ("PUT", Some(id)) => {
                let number = part.unwrap_or_default().parse().unwrap();
                let parts = self.uploads.get_mut(id).unwrap();
                parts.insert(number, request.body.clone());
                (200, meta(), Vec::new())
            }
            ("DELETE", Some(id)) => {
                self.uploads.remove(id);
                (204, String::new(), Vec::new())
            }
            ("PUT", None) if request.is_create() && self.objects.contains_key(&request.key) => {
                (412, String::new(), Vec::new())
            }
            ("PUT", None) => {
                self.objects
                    .insert(request.key.clone(), request.body.clone());
                (200, meta(), Vec::new())
            }
            ("GET", None) if request.query.contains("list-type=2") => {
                (200, String::new(), self.list(&request.query))
            }
            ("GET" | "HEAD", None) => match self.objects.get(&request.key) {
                Some(body) => (200, meta(), body.clone()),
                None => (404, String::new(), Vec::new()),
            },
            ("DELETE", None) => {
                self.objects.remove(&request.key);
                (204, String::new(), Vec::new())
            }
            _ => (400, String::new(), Vec::new()),
        }
    }
}

impl State {
    fn list(&self, query: &str) -> Vec<u8> {
        let asked: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let prefix = asked.get("prefix").cloned().unwrap_or_default();
        let after = asked.get("start-after").cloned().unwrap_or_default();
        let mut xml = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        for (key, body) in &self.objects {
            if key.starts_with(&prefix) && *key > after {
                xml.push_str(&format!(
                    "<Contents><Key>{key}</Key><LastModified>2025-11-22T12:00:00.000Z</LastModified>\
                     <ETag>e</ETag><Size>{}</Size></Contents>",
                    body.len()
                ));
            }
        }
        xml.push_str("</ListBucketResult>");
        xml.into_bytes()
    }
}

/// One request; `rest` holds what was read beyond it.
async fn read_request(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(rest[..end].to_vec()).ok()?;
    rest.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let method = first.next()?.to_owned();
    let (path, query) = first.next().map(|p| p.split_once('?').unwrap_or((p, "")))?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    while rest.len() < length {
        if stream.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    }
    let body = rest.drain(..length).collect();
    let path = object_store::path::Path::from_url_path(path)
        .ok()?
        .to_string();
    Some(Request {
        method,
        key: path
            .trim_start_matches("bucket")
            .trim_start_matches('/')
            .to_owned(),
        query: query.to_owned(),
        headers,
        body,
        nth: 0,
    })
}
