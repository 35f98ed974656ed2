//! Headers that the library beneath has no name for.
//!
//! A put that is to be retained carries a [`RetainUntil`] as an extension. On
//! the way out its headers are added, and where a checksum goes along the name
//! of its algorithm, without which some stores do not see it. Then the request
//! is signed anew: S3 takes no `x-amz-` header that the signature does not
//! cover.

use async_trait::async_trait;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientOptions, HeaderValue, Result};

use crate::objects::settings::LockMode;

/// What a put asks for. RFC 3339 in the text.
#[derive(Clone, Debug)]
pub(super) struct RetainUntil {
    pub(super) mode: LockMode,
    pub(super) until: HeaderValue,
}

/// Signs requests to S3.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    credentials: AwsCredentialProvider,
    region: String,
    /// Not where requests are anonymous.
    signs: bool,
}

impl Signer {
    pub(super) fn new(credentials: AwsCredentialProvider, region: String, signs: bool) -> Self {
        Self {
            credentials,
            region,
            signs,
        }
    }

    /// Signs `request`, over whatever signature it has. What was said of the
    /// body's hash stays.
    pub(super) async fn sign(&self, request: &mut HttpRequest) -> Result<()> {
        if !self.signs {
            return Ok(());
        }
        let credential = self.credentials.get_credential().await?;
        let said = request.headers().get("x-amz-content-sha256").cloned();
        let digest = said.and_then(|v| hex::decode(v.as_bytes()).ok());
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(request, digest.as_deref());
        Ok(())
    }
}

/// Hands on what it was given, and adds what [`RetainUntil`] asks for.
#[derive(Clone, Debug)]
pub(super) struct Retaining {
    signer: Signer,
    http: HttpClient,
}

impl Retaining {
    pub(super) fn new(signer: Signer, http: HttpClient) -> Self {
        Self { signer, http }
    }
}

impl HttpConnector for Retaining {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(RetainingClient {
            inner: self.http.clone(),
            signer: self.signer.clone(),
        }))
    }
}

#[derive(Debug)]
struct RetainingClient {
    inner: HttpClient,
    signer: Signer,
}

#[async_trait]
impl HttpService for RetainingClient {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let wanted = request.extensions().get::<RetainUntil>().cloned();
        let summed = request.headers().contains_key("x-amz-checksum-sha256");
        let headers = request.headers_mut();
        if let Some(RetainUntil { mode, until }) = &wanted {
            let mode = HeaderValue::from_static(mode.as_str());
            headers.insert("x-amz-object-lock-mode", mode);
            headers.insert("x-amz-object-lock-retain-until-date", until.clone());
        }
        if summed {
            let algorithm = HeaderValue::from_static("SHA256");
            headers.insert("x-amz-sdk-checksum-algorithm", algorithm);
        }
        if wanted.is_some() || summed {
            self.signer
                .sign(&mut request)
                .await
                .map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
        }
        self.inner.execute(request).await
    }
}
