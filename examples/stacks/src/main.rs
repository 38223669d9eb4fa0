//! The layer under the clients of other crates, as `tests/recipes/stacks` wires them.
//!
//! Each stack sends 100 requests at once to a stand-in on loopback. Then the token is revoked, and they are
//! sent again. Then a login fails. The guide's page on stacks has to contain each line of the table that is
//! printed: otherwise the run fails.

mod api;
mod calls;

#[path = "../../../tests/recipes/stacks"]
mod recipes {
    pub mod jsonrpsee;
    pub mod kube;
    pub mod octocrab;
    pub mod otlp;
    pub mod reqwest;
    pub mod smithy;
}

use std::{error::Error, pin::Pin, process::ExitCode, sync::Arc};

use http::Method;
use tokio::task::JoinSet;
use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Origins, login_fn};

use self::api::Api;

const REQUESTS: usize = 100;

const HEAD: &str =
    "stack | lines | works | GETs replayed | POSTs replayed | login error found | works again";

/// Sends one request. An answer other than a success is an error.
type Call =
    Arc<dyn Fn(Method) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> + Send + Sync>;

struct Stack {
    package: &'static str,
    recipe: &'static str,
    /// Whether it can send a GET.
    gets: bool,
    client: fn(&str, BearerAuthLayer) -> Result<Call, BoxError>,
    /// A function of the recipe that finds the login's error.
    login_error: Option<fn(&BoxError) -> Option<&tower_bearer::Error>>,
}

macro_rules! recipe {
    ($name:literal) => {
        include_str!(concat!("../../../tests/recipes/stacks/", $name, ".rs"))
    };
}

const STACKS: [Stack; 6] = [
    Stack {
        package: "kube",
        recipe: recipe!("kube"),
        gets: true,
        client: calls::kube,
        login_error: None,
    },
    Stack {
        package: "octocrab",
        recipe: recipe!("octocrab"),
        gets: true,
        client: calls::octocrab,
        login_error: None,
    },
    Stack {
        package: "jsonrpsee",
        recipe: recipe!("jsonrpsee"),
        gets: false,
        client: calls::jsonrpsee,
        login_error: Some(|error| recipes::jsonrpsee::login_error(error.downcast_ref()?)),
    },
    Stack {
        package: "reqwest",
        recipe: recipe!("reqwest"),
        gets: true,
        client: calls::reqwest,
        login_error: None,
    },
    Stack {
        package: "opentelemetry-otlp",
        recipe: recipe!("otlp"),
        gets: false,
        client: calls::otlp,
        login_error: None,
    },
    Stack {
        package: "aws-smithy-runtime-api",
        recipe: recipe!("smithy"),
        gets: true,
        client: calls::smithy,
        login_error: None,
    },
];

/// The login's error, if it is in the chain of sources.
fn in_chain(error: &BoxError) -> Option<&tower_bearer::Error> {
    let mut error: &(dyn Error + 'static) = error.as_ref();
    loop {
        match error.downcast_ref() {
            Some(ours) => return Some(ours),
            None => error = error.source()?,
        }
    }
}

fn is_failed_login(error: &tower_bearer::Error) -> bool {
    error.is_login_failed()
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let page = include_str!("../../../src/guide/stacks.rs");
    let (mut rows, mut passed, mut tried) = (String::new(), 0, 0);
    let mut is_in_step = true;
    for stack in &STACKS {
        let row = stack.row().await?;
        passed += row.matches("| yes").count();
        tried += row.matches("| yes").count() + row.matches("| no,").count();
        if !page.contains(&row) {
            eprintln!("src/guide/stacks.rs lacks a row, or has another one: {row}");
            is_in_step = false;
        }
        rows += &row;
        rows += "\n";
    }
    println!("| {HEAD} |");
    print!("{rows}");
    println!(
        "stacks: stacks={} passed={passed} tried={tried}",
        STACKS.len()
    );
    Ok(match is_in_step {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

impl Stack {
    /// Runs the stack, and returns its row of the table.
    async fn row(&self) -> Result<String, BoxError> {
        let api = Api::start().await?;
        let issuer = api.clone();
        let provider = CachedProvider::new(login_fn(move |_| issuer.clone().log_in()));
        let url = format!("http://{}", api.address);
        let layer = BearerAuthLayer::new(provider.clone(), Origins::new(&url)?.strict());
        let call = (self.client)(&url, layer)?;

        let first = match self.gets {
            true => Method::GET,
            false => Method::POST,
        };
        let works = match self.send(&api, &call, first).await? {
            (0, 1, 0) => "yes",
            _ => "no, some failed",
        };
        let replayed = async |method| {
            api.revoke_token();
            let figures = self.send(&api, &call, method).await?;
            Ok::<_, BoxError>(match figures {
                (0, 1, REQUESTS) => "yes",
                _ => "no, some failed",
            })
        };
        let gets = match self.gets {
            true => replayed(Method::GET).await?,
            false => "it sends none",
        };
        let posts = replayed(Method::POST).await?;

        api.fail_logins(true);
        provider.reset();
        let Err(error) = call(Method::POST).await else {
            return Err("the login failed, and the request did not".into());
        };
        println!("{}: failed login: {error}", self.package);
        let in_recipe = self.login_error.and_then(|find| find(&error));
        let found = match (error.downcast_ref(), in_chain(&error), in_recipe) {
            (Some(ours), ..) if is_failed_login(ours) => "yes, by `downcast_ref`",
            (_, Some(ours), _) if is_failed_login(ours) => "yes, in the chain of sources",
            (.., Some(ours)) if is_failed_login(ours) => "yes, by `login_error`",
            _ => "no, it is lost",
        };
        api.fail_logins(false);
        provider.reset();
        let again = match call(Method::POST).await {
            Ok(()) => "yes",
            Err(_) => "no, it is dead",
        };
        Ok(format!(
            "| {} {} | {} | {works} | {gets} | {posts} | {found} | {again} |",
            self.package,
            version(self.package).ok_or("not in Cargo.lock")?,
            lines(self.recipe),
        ))
    }

    /// Sends all requests at once. Returns how many failed, and how many logins and replays were made.
    async fn send(
        &self,
        api: &Api,
        call: &Call,
        method: Method,
    ) -> Result<(usize, usize, usize), BoxError> {
        let (logins, received) = (api.logins(), api.received());
        let mut requests: JoinSet<_> = (0..REQUESTS).map(|_| call(method.clone())).collect();
        let mut failed = 0;
        while let Some(answered) = requests.join_next().await {
            if let Err(error) = answered? {
                failed += 1;
                if failed == 1 {
                    eprintln!("{}: {error}", self.package);
                }
            }
        }
        let logins = api.logins() - logins;
        let replayed = api.received() - received - REQUESTS;
        println!(
            "{}: {REQUESTS} {method}s: failed={failed} logins={logins} replayed={replayed}",
            self.package
        );
        Ok((failed, logins, replayed))
    }
}

/// The number of lines that a user copies.
fn lines(recipe: &str) -> usize {
    recipe
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

fn version(package: &str) -> Option<&'static str> {
    let name = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = include_str!("../Cargo.lock").split_once(&name)?;
    rest.split('"').next()
}
