//! oidc-provider: client credentials, client assertions, and a user's refresh token.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, Credential, CredentialProvider, Error, HttpLogin,
    Login, LoginBody, LoginRequest, OAuth2Grant, OAuth2Issuer, Origins, Recovery, ReplayEmpty,
    RequestHead, SdkProvider, Session, Token, TokenFile,
};

use crate::{
    behaviours::{acquired, api, at_once, failure, hundred, lifetime, revoked, token},
    client::Http,
    process::{self, Process, folder, installed, source},
    report::Report,
    sdk::Sdk,
    support::patient,
};

/// Each character that a form or a header could spoil. The server allows visible ASCII and spaces.
const SECRET: &str = "a b%&+:=/?\"\\~'<>;,#@!$()*{}|^`";

struct Server {
    url: String,
    _process: Process,
}

impl Server {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn by_basic(&self, http: &Http) -> Result<HttpLogin, BoxError> {
        let (http, url) = (http.client(), self.at("/token"));
        // login: oidc-provider: client credentials
        let grant = OAuth2Grant::client_credentials().scope("read write");
        let login = HttpLogin::new(http, &url, grant)?.client_secret_basic("a:b", SECRET)?;
        // end
        Ok(login)
    }

    fn by_issuer(&self, http: &Http, issuer: OAuth2Issuer) -> Result<HttpLogin, BoxError> {
        let http = http.client();
        // login: oidc-provider: client credentials, by discovery
        let grant = OAuth2Grant::client_credentials().client_secret_basic("a:b", SECRET)?;
        let login = HttpLogin::discover(http, issuer, grant);
        // end
        Ok(login)
    }

    fn by_body(&self, http: &Http, secret: &str) -> Result<HttpLogin, BoxError> {
        let grant = OAuth2Grant::client_credentials().client_secret_post("post", secret);
        Ok(HttpLogin::new(http.client(), &self.at("/token"), grant)?)
    }

    fn by_assertion(&self, http: &Http) -> Result<HttpLogin, BoxError> {
        let (url, key) = (self.at("/token"), self.at("/sign"));
        let signer = http.clone();
        let sign = move || {
            let (signer, key) = (signer.clone(), key.clone());
            async move { signer.read(key).await }
        };
        let http = http.client();
        // login: oidc-provider: client assertion
        let body = LoginBody::from_fn(move |_| {
            let assertion = sign();
            async {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let grant = OAuth2Grant::client_credentials()
                    .parameter("client_assertion_type", kind)?
                    .parameter("client_assertion", assertion.await)?;
                Ok(grant)
            }
        });
        let login = HttpLogin::new(http, &url, body)?.with_session(Session::Concurrent);
        // end
        Ok(login)
    }

    fn by_refresh_token(&self, http: &Http) -> Result<HttpLogin, BoxError> {
        let (http, url) = (http.client(), self.at("/token"));
        // login: oidc-provider: refresh token
        let grant = OAuth2Grant::refresh_token().client_id("app");
        let login = HttpLogin::new(http, &url, grant)?;
        // end
        Ok(login)
    }

    /// Revokes a token of the client `post` or of `app` (RFC 7009).
    async fn revoke(&self, token: String, client: &str) {
        let mut form = vec![("token", token), ("client_id", client.to_owned())];
        if client == "post" {
            form.push(("client_secret", SECRET.to_owned()));
        }
        Http::new().post(self.at("/token/revocation"), form).await;
    }
}

fn by_sdk(sdk: Sdk) -> impl CredentialProvider<Acquire: Send> + Clone + Send + Sync {
    let forgetting = sdk.clone();
    // login: oidc-provider: another library's cache
    SdkProvider::new(move || {
        let sdk = sdk.clone();
        async move { Ok(Token::new(sdk.token().await?)?) }
    })
    .forget(move || forgetting.forget_token())
    // end
}

#[tokio::test]
async fn oidc_provider() {
    let Some(installed) = installed("oidc-provider") else {
        return;
    };
    let folder = folder("oidc-provider");
    let mut node = process::node(&installed);
    node.arg(source("oidc_provider.mjs"))
        .env("TOWER_BEARER_SERVERS", installed)
        .env("CLIENT_SECRET", SECRET);
    let (process, line) = Process::start(node, &folder, "listening on ").unwrap();
    let server = Arc::new(Server {
        url: line.replace("listening on ", ""),
        _process: process,
    });
    let package: Value = serde_json::from_str(include_str!("package.json")).unwrap();
    let version = package["dependencies"]["oidc-provider"].as_str().unwrap();
    let mut report = Report::new("oidc-provider", version, include_str!("oidc_provider.rs"));
    let new = || (Arc::clone(&server), Http::new());

    let (it, http) = new();
    let act = async move {
        for issuer in [
            OAuth2Issuer::openid(&it.url),
            OAuth2Issuer::rfc8414(&it.url),
        ] {
            let token = token(&it.by_issuer(&http, issuer.unwrap()).unwrap()).await;
            assert_eq!(http.status(&it.at("/api"), &token).await, 200);
        }
        // The same server by another name is another issuer.
        let other = it.url.replace("127.0.0.1", "localhost");
        let issuer = OAuth2Issuer::openid(&other).unwrap();
        let failure = failure(it.by_issuer(&http, issuer).unwrap()).await;
        assert_eq!(failure.recovery, Recovery::FixProgram);
        assert!(failure.text.contains(&it.url) && failure.text.contains(&other));
        assert_eq!(http.logins(), [200, 200]);
    };
    report.check("discovery", act).await;

    let (it, http) = new();
    let act = async move {
        let token = token(&it.by_basic(&http).unwrap()).await;
        assert_eq!(http.status(&it.at("/api"), &token).await, 200);
    };
    report.check("client secret by Basic", act).await;

    let (it, http) = new();
    let act = async move {
        let token = token(&it.by_body(&http, SECRET).unwrap()).await;
        assert_eq!(http.status(&it.at("/api"), &token).await, 200);
    };
    report.check("client secret in the body", act).await;

    let (it, http) = new();
    let act = async move {
        // RFC 8707: the token is a JSON Web Token for this resource alone. The server ignores the rest.
        let grant = OAuth2Grant::client_credentials()
            .scope("read")
            .resource("https://api.example.com/a?b=c&d")
            .audience("nobody")
            .parameter("tenant", "a b&c")
            .unwrap()
            .client_secret_post("post", SECRET);
        let login = HttpLogin::new(http.client(), &it.at("/token"), grant).unwrap();
        let token = token(&login).await;
        let claims = token.split('.').nth(1).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "audience of https://api.example.com/a?b=c&d");
        assert_eq!(claims["scope"], "read");
    };
    report.check("scope, resource, parameters", act).await;

    let (it, http) = new();
    let act = async move {
        assert_eq!(lifetime(&it.by_basic(&http).unwrap()).await, Some(777));
    };
    report.check("lifetime as announced", act).await;

    let (it, http) = new();
    let act = async move {
        let stored = Arc::<Mutex<Vec<String>>>::default();
        let store = Arc::clone(&stored);
        let first = http.read(it.at("/sign-in")).await;
        let provider = patient(it.by_refresh_token(&http).unwrap())
            .starting_with_refresh_token(first.clone())
            .on_credential(move |credential: &Credential| {
                let token = credential.refresh_token().unwrap().expose().to_owned();
                store.lock().unwrap().push(token);
            })
            .build();
        let previous = acquired(&provider).await;
        provider.reset();
        let current = acquired(&provider).await;
        let [second, third]: [String; 2] = stored.lock().unwrap().clone().try_into().unwrap();
        assert!(first != second && second != third);
        assert_eq!(http.status(&it.at("/me"), &current).await, 200);
        assert_eq!(http.status(&it.at("/me"), &previous).await, 200);
        println!("seen: oidc-provider: a refresh leaves the previous token valid");
        assert_eq!(http.logins(), [200, 200]);
    };
    report.check("refresh token rotates", act).await;

    let (it, http) = new();
    let act = async move {
        let first = http.read(it.at("/sign-in")).await;
        let used = || {
            let login = it.by_refresh_token(&http).unwrap();
            patient(login)
                .starting_with_refresh_token(first.clone())
                .build()
        };
        let honest = used();
        let token = acquired(&honest).await;
        let thief = used();
        let error = thief.acquire().await.unwrap_err();
        println!("seen: {error:?}");
        assert!(error.login_error().unwrap().is_permanent());
        assert!(!format!("{error:?}").contains(&first));
        assert_eq!(http.logins(), [200, 400]);
        // The server takes the second use for a theft, and ends the whole session.
        assert_eq!(http.status(&it.at("/me"), &token).await, 401);
        println!("seen: oidc-provider: a refresh token that is used twice ends the session");
        // The user signs in again.
        let next = http.read(it.at("/sign-in")).await;
        let login = it.by_refresh_token(&http).unwrap();
        let request = LoginRequest::with_refresh_token(next);
        thief.set_credential(login.login(request).await.unwrap());
        assert_eq!(
            http.status(&it.at("/me"), &acquired(&thief).await).await,
            200
        );
    };
    report.check("spent refresh token", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_body(&http, "wrong-secret").unwrap();
        let failure = failure(login).await;
        failure.assert_wrong_secret(Some("invalid_client"), "wrong-secret");
    };
    report.check("wrong secret", act).await;

    let (it, http) = new();
    let act = async move {
        // One that the server knows, and does not allow this client.
        let grant = OAuth2Grant::client_credentials().scope("openid");
        let grant = grant.client_secret_post("post", SECRET);
        let login = HttpLogin::new(http.client(), &it.at("/token"), grant).unwrap();
        let failure = failure(login).await;
        assert_eq!(failure.code, Some("invalid_scope"));
        assert!(failure.is_permanent, "{failure:?}");
    };
    report.check("wrong scope", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_basic(&http).unwrap();
        let (previous, current) = (token(&login).await, token(&login).await);
        assert_ne!(previous, current);
        assert_eq!(http.status(&it.at("/api"), &previous).await, 200);
        assert_eq!(login.session(), Session::Concurrent);
        println!("seen: oidc-provider: a login leaves the previous token valid");
    };
    report.check("previous token after a login", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_body(&http, SECRET).unwrap();
        let revoke = |token| it.revoke(token, "post");
        revoked(&[200, 200], http, login, it.at("/api"), revoke).await;

        // With the token of a user, the server ends the whole session. There is no other login.
        let http = Http::new();
        let first = http.read(it.at("/sign-in")).await;
        let login = it.by_refresh_token(&http).unwrap();
        let provider = patient(login).starting_with_refresh_token(first).build();
        let me = it.at("/me");
        let api = api(&http, provider, &me);
        assert_eq!(at_once(1, &api, &me).await, 200);
        it.revoke(acquired(api.provider()).await, "app").await;
        let request = Request::get(&me).body(Full::default()).unwrap();
        let error = api.oneshot(request).await.unwrap_err();
        let error = error.downcast_ref::<Error>().unwrap();
        assert_eq!(error.recovery(), Recovery::ChangeCredentials);
        assert_eq!(http.logins(), [200, 400]);
    };
    report.check("revoked token: login, replay", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_body(&http, SECRET).unwrap();
        let revoke = |token| it.revoke(token, "post");
        hundred(http, login, it.at("/api"), revoke).await;
    };
    report.check("100 requests, one login", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_assertion(&http).unwrap();
        // The server takes each assertion once.
        for _ in 0..2 {
            let token = token(&login).await;
            assert_eq!(http.status(&it.at("/api"), &token).await, 200);
        }
        assert_eq!(lifetime(&login).await, Some(777));
    };
    report.check("signed client assertion", act).await;

    let (it, http) = new();
    let file = folder.join("token");
    let act = async move {
        // Another program logs in, and writes its token into the file.
        let writer = it.by_body(&Http::new(), SECRET).unwrap();
        let write = |token: &str| {
            fs::write(file.with_extension("next"), token).unwrap();
            fs::rename(file.with_extension("next"), &file).unwrap();
        };
        let first = token(&writer).await;
        write(&first);
        // login: oidc-provider: token file
        let provider = CachedProvider::new(TokenFile::new(&file));
        // end
        let url = it.at("/api");
        let api = api(&http, provider, &url);
        assert_eq!(at_once(100, &api, &url).await, 200);
        write(&token(&writer).await);
        it.revoke(first, "post").await;
        assert_eq!(at_once(100, &api, &url).await, 200);
        assert_eq!(api.provider().snapshot().logins(), 2);
    };
    report.check("token file", act).await;

    let (it, http) = new();
    let act = async move {
        let sdk = Sdk::new(&http, it.at("/token"), "post", SECRET);
        let url = it.at("/api");
        let api = BearerAuthLayer::new(by_sdk(sdk), Origins::new([&it.url]).unwrap())
            .replay(ReplayEmpty)
            .layer(http.client());
        let status = async || {
            let request = Request::get(&url).body(Full::default()).unwrap();
            let status = api.clone().oneshot(request).await.unwrap().status();
            status.as_u16()
        };
        assert_eq!((status().await, status().await), (200, 200));
        assert_eq!(http.logins(), [200]);
        let request = Request::new(());
        let head = RequestHead::of(&request);
        let revoked = api.provider().acquire_for(head).await.unwrap();
        let revoked = revoked.value().to_str().unwrap();
        let revoked = revoked.strip_prefix("Bearer ").unwrap().to_owned();
        it.revoke(revoked, "post").await;
        assert_eq!((status().await, status().await), (200, 200));
        assert_eq!(http.logins(), [200, 200]);
    };
    report.check("another library's cache", act).await;

    report.finish();
}
