//! django-oauth-toolkit, and simplejwt for an API that is no OAuth 2.0.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tower_bearer::{
    BoxError, Credential, HttpLogin, Login, OAuth2Grant, OAuth2Issuer, RefreshToken, Session,
};

use crate::{
    behaviours::{
        acquired, ended, failure, hundred, lifetime, revoked, token, with_failed_refreshes,
    },
    client::Http,
    process::{Process, folder, installed, source},
    report::Report,
    support::patient,
};

const SOURCE: &str = include_str!("django.rs");

pub(crate) const SECRET: &str = "a b%&+:=/?\"\\~'<>;,#@!$()*{}|^`é€";
const USER: &str = "user";
const PASSWORD: &str = "p w%&+\"\\é€";

pub(crate) struct Server {
    pub(crate) url: String,
    _process: Process,
}

impl Server {
    /// Starts both, in one process.
    pub(crate) fn start(installed: &Path, name: &str) -> Self {
        let folder = folder(name);
        let mut python = Command::new(installed.join("venv/bin/python"));
        python
            .arg(source("django_project.py"))
            .arg(&folder)
            .env("CLIENT_SECRET", SECRET)
            .env("USER_NAME", USER)
            .env("USER_PASSWORD", PASSWORD);
        let (process, line) = Process::start(python, &folder, "listening on ").unwrap();
        Self {
            url: line.replace("listening on ", ""),
            _process: process,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn by_basic(&self, http: &Http) -> Result<HttpLogin, BoxError> {
        let (http, url) = (http.client(), self.at("/o/token/"));
        // login: django-oauth-toolkit: client credentials
        let grant = OAuth2Grant::client_credentials().scope("read write");
        let login = HttpLogin::new(http, &url, grant)?.client_secret_basic("a:b", SECRET)?;
        // end
        Ok(login)
    }

    fn by_body(&self, http: &Http, secret: &str, scope: &str) -> Result<HttpLogin, BoxError> {
        let grant = OAuth2Grant::client_credentials().scope(scope);
        let grant = grant.client_secret_post("a:b", secret);
        Ok(HttpLogin::new(http.client(), &self.at("/o/token/"), grant)?)
    }

    fn by_password(&self, http: &Http, password: &str) -> Result<HttpLogin, BoxError> {
        let (http, url) = (http.client(), self.at("/o/token/"));
        // login: django-oauth-toolkit: password
        let grant = OAuth2Grant::password(USER, password);
        let login = HttpLogin::new(http, &url, grant)?.client_secret_basic("old", SECRET)?;
        // end
        Ok(login)
    }

    fn by_json(&self, http: &Http, password: &str) -> Result<HttpLogin, BoxError> {
        let http = http.client();
        let (url, refresh_url) = (self.at("/jwt/token/"), self.at("/jwt/token/refresh/"));
        // login: simplejwt: JSON with refresh
        let body = json!({ "username": USER, "password": password });
        let login = HttpLogin::new(http, &url, body.to_string())?
            .token_at("/access")
            .refresh_token_at("/refresh")
            .refresh_by(&refresh_url, |token: &RefreshToken| {
                json!({ "refresh": token.expose() }).to_string()
            })?;
        // end
        Ok(login)
    }

    /// Revokes a token of django-oauth-toolkit (RFC 7009).
    pub(crate) async fn revoke(&self, token: String, client: &str) {
        let form = vec![
            ("token", token),
            ("client_id", client.to_owned()),
            ("client_secret", SECRET.to_owned()),
        ];
        Http::new().post(self.at("/o/revoke_token/"), form).await;
    }
}

/// The pinned version of a package.
fn version(package: &str) -> &'static str {
    let lines = include_str!("requirements.txt").lines();
    let mut pinned = lines.filter_map(|line| line.split_once("=="));
    pinned.find(|(name, _)| *name == package).unwrap().1
}

/// What a refresh does, and a refresh token that was used before. `api` takes the tokens.
async fn rotates(http: &Http, api: &str, login: impl Fn() -> HttpLogin) -> (u16, [String; 2]) {
    let stored = Arc::<Mutex<Vec<String>>>::default();
    let store = Arc::clone(&stored);
    let provider = patient(login())
        .on_credential(move |credential: &Credential| {
            let token = credential.refresh_token().unwrap().expose().to_owned();
            store.lock().unwrap().push(token);
        })
        .build();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(acquired(&provider).await);
        provider.reset();
    }
    let [first, second, third]: [String; 3] = stored.lock().unwrap().clone().try_into().unwrap();
    assert!(first != second && second != third);
    assert_eq!(http.logins(), [200, 200, 200]);
    assert_eq!(http.status(api, &tokens[2]).await, 200);
    (http.status(api, &tokens[1]).await, [first, third])
}

/// A refresh token that was used before costs one more request: a full login follows.
async fn is_spent(http: &Http, login: HttpLogin, spent: String, status: u16, code: Option<&str>) {
    let before = http.logins().len();
    let (builder, failures) = with_failed_refreshes(login);
    let provider = builder.starting_with_refresh_token(spent).build();
    acquired(&provider).await;
    assert_eq!(http.logins()[before..], [status, 200]);
    let error = failures.try_recv().unwrap();
    println!("seen: {error}");
    assert_eq!(error.login_error().unwrap().error_code(), code);
}

#[tokio::test]
async fn django_oauth_toolkit() {
    const NAME: &str = "django-oauth-toolkit";
    let Some(installed) = installed(NAME) else {
        return;
    };
    let server = Arc::new(Server::start(&installed, NAME));
    let mut report = Report::new(NAME, version(NAME), SOURCE);
    let new = || (Arc::clone(&server), Http::new());

    let (it, http) = new();
    let act = async move {
        let issuer = it.at("/o");
        for issuer in [
            OAuth2Issuer::openid(&issuer),
            OAuth2Issuer::rfc8414(&issuer),
        ] {
            let grant = OAuth2Grant::client_credentials().client_secret_post("a:b", SECRET);
            let login = HttpLogin::discover(http.client(), issuer.unwrap(), grant);
            assert_eq!(
                http.status(&it.at("/o/api"), &token(&login).await).await,
                200
            );
        }
    };
    report.check("discovery", act).await;

    let (it, http) = new();
    let act = async move {
        let token = token(&it.by_basic(&http).unwrap()).await;
        assert_eq!(http.status(&it.at("/o/api"), &token).await, 200);
    };
    report.check("client secret by Basic", act).await;

    let (it, http) = new();
    let act = async move {
        let token = token(&it.by_body(&http, SECRET, "read").unwrap()).await;
        assert_eq!(http.status(&it.at("/o/api"), &token).await, 200);
    };
    report.check("client secret in the body", act).await;

    let (it, http) = new();
    let act = async move {
        let api = it.at("/o/api");
        let login = it.by_body(&http, SECRET, "read").unwrap();
        let answer = http.answer(&api, &token(&login).await).await;
        assert_eq!(answer, (200, r#"{"scope":"read"}"#.to_owned()));

        // RFC 8707: the API rejects a token for another resource.
        for (resource, status) in [(&*it.url, 200), ("https://other.example.com", 401)] {
            let grant = OAuth2Grant::client_credentials()
                .resource(resource)
                .parameter("tenant", "a b&c")
                .unwrap()
                .client_secret_post("a:b", SECRET);
            let login = HttpLogin::new(http.client(), &it.at("/o/token/"), grant).unwrap();
            assert_eq!(http.status(&api, &token(&login).await).await, status);
        }
    };
    report.check("scope, resource, parameters", act).await;

    let (it, http) = new();
    let act = async move {
        assert_eq!(lifetime(&it.by_basic(&http).unwrap()).await, Some(777));
    };
    report.check("lifetime as announced", act).await;

    let (it, http) = new();
    let act = async move {
        let token = token(&it.by_password(&http, PASSWORD).unwrap()).await;
        assert_eq!(http.status(&it.at("/o/api"), &token).await, 200);
        let failure = failure(it.by_password(&http, "wrong-password").unwrap()).await;
        failure.assert_wrong_secret(Some("invalid_grant"), "wrong-password");
    };
    report.check("password", act).await;

    let (it, http) = new();
    let act = async move {
        let login = || it.by_password(&http, PASSWORD).unwrap();
        let (previous, _) = rotates(&http, &it.at("/o/api"), login).await;
        assert_eq!(previous, 401);
        println!("seen: {NAME}: a refresh revokes the previous token");
    };
    report.check("refresh token rotates", act).await;

    let (it, http) = new();
    let act = async move {
        let login = || it.by_password(&http, PASSWORD).unwrap();
        let (_, [spent, _]) = rotates(&http, &it.at("/o/api"), login).await;
        is_spent(&http, login(), spent, 400, Some("invalid_grant")).await;
    };
    report.check("spent refresh token", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_body(&http, "wrong-secret", "read").unwrap();
        let failure = failure(login).await;
        failure.assert_wrong_secret(Some("invalid_client"), "wrong-secret");
    };
    report.check("wrong secret", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_body(&http, SECRET, "admin").unwrap();
        let failure = failure(login).await;
        assert_eq!(failure.code, Some("invalid_scope"));
        assert!(failure.is_permanent, "{failure:?}");
    };
    report.check("wrong scope", act).await;

    let (it, http) = new();
    let act = async move {
        for (login, session) in [
            (it.by_basic(&http).unwrap(), Session::Concurrent),
            (it.by_password(&http, PASSWORD).unwrap(), Session::Exclusive),
        ] {
            let (previous, current) = (token(&login).await, token(&login).await);
            assert_ne!(previous, current);
            assert_eq!(http.status(&it.at("/o/api"), &previous).await, 200);
            assert_eq!(login.session(), session);
        }
        println!("seen: {NAME}: a login leaves the previous token valid");
    };
    report.check("previous token after a login", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_basic(&http).unwrap();
        let revoke = |token| it.revoke(token, "a:b");
        revoked(&[200, 200], http, login, it.at("/o/api"), revoke).await;
        // Its refresh token is revoked too.
        let http = Http::new();
        let login = it.by_password(&http, PASSWORD).unwrap();
        let revoke = |token| it.revoke(token, "old");
        revoked(&[200, 400, 200], http, login, it.at("/o/api"), revoke).await;
    };
    report.check("revoked token: login, replay", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_basic(&http).unwrap();
        let revoke = |token| it.revoke(token, "a:b");
        hundred(http, login, it.at("/o/api"), revoke).await;
    };
    report.check("100 requests, one login", act).await;

    report.finish();
}

#[tokio::test]
async fn simplejwt() {
    let Some(installed) = installed("simplejwt") else {
        return;
    };
    let server = Arc::new(Server::start(&installed, "simplejwt"));
    let version = version("djangorestframework_simplejwt");
    let mut report = Report::new("simplejwt", version, SOURCE);
    let new = || (Arc::clone(&server), Http::new());

    let (it, http) = new();
    let act = async move {
        // It announces none. The token has it.
        let lifetime = lifetime(&it.by_json(&http, PASSWORD).unwrap())
            .await
            .unwrap();
        assert!((299..=300).contains(&lifetime), "{lifetime}");
    };
    report.check("lifetime as announced", act).await;

    let (it, http) = new();
    let act = async move {
        let token = token(&it.by_json(&http, PASSWORD).unwrap()).await;
        assert_eq!(http.status(&it.at("/jwt/api"), &token).await, 200);
    };
    report.check("password", act).await;

    let (it, http) = new();
    let act = async move {
        let login = || it.by_json(&http, PASSWORD).unwrap();
        let (previous, _) = rotates(&http, &it.at("/jwt/api"), login).await;
        assert_eq!(previous, 200);
        println!("seen: simplejwt: a refresh leaves the previous token valid");
    };
    report.check("refresh token rotates", act).await;

    let (it, http) = new();
    let act = async move {
        let login = || it.by_json(&http, PASSWORD).unwrap();
        let (_, [spent, _]) = rotates(&http, &it.at("/jwt/api"), login).await;
        is_spent(&http, login(), spent, 401, None).await;
    };
    report.check("spent refresh token", act).await;

    let (it, http) = new();
    let act = async move {
        let failure = failure(it.by_json(&http, "wrong-password").unwrap()).await;
        failure.assert_wrong_secret(None, "wrong-password");
    };
    report.check("wrong secret", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.by_json(&http, PASSWORD).unwrap();
        let (previous, current) = (token(&login).await, token(&login).await);
        assert_ne!(previous, current);
        assert_eq!(http.status(&it.at("/jwt/api"), &previous).await, 200);
        println!("seen: simplejwt: a login leaves the previous token valid");
    };
    report.check("previous token after a login", act).await;

    // The user changes the password, or signs out everywhere.
    for (behaviour, count) in [
        ("revoked token: login, replay", 1),
        ("100 requests, one login", 100),
    ] {
        let (it, http) = new();
        let act = async move {
            let everywhere = it.at("/jwt/sign-out-everywhere");
            let end = async { drop(Http::new().read(everywhere).await) };
            let login = it.by_json(&http, PASSWORD).unwrap();
            ended(count, http, login, it.at("/jwt/api"), end).await;
        };
        report.check(behaviour, act).await;
    }
    println!("seen: simplejwt: a refresh revives no session that has ended, and is not refused");

    report.finish();
}
