//! The layer under the clients of other crates, as `tests/recipes/stacks` wires them.
//!
//! Each stack sends 100 requests at once to a stand-in on loopback. Then the token is revoked, and they are
//! sent again. Then logins fail. Then a login and an answer are held, until a timeout ends the call. The guide's
//! page on stacks has to contain each line of the tables that are printed: otherwise the run fails.

mod calls;
#[path = "../../../tests/support/stack/mod.rs"]
mod stack;
mod timeouts;

#[path = "../../../tests/recipes/stacks"]
mod recipes {
    #[path = "../to_status.rs"]
    mod to_status;

    pub mod jsonrpsee;
    pub mod kube;
    pub mod octocrab;
    pub mod otlp;
    pub mod otlp_grpc;
    pub mod progenitor;
    pub mod reqwest;
    pub mod smithy;
}

use std::{process::ExitCode, time::Duration};

use http::Method;
use tower_bearer::{BearerAuthLayer, BoxError, CachePolicy, CachedProvider, Origins, login_fn};

use self::stack::{Api, Call, FAILURES, REQUESTS, in_chain, lines, send, tells};

/// The timeout of a login, and any other timeout that is tried.
const TIMEOUT: Duration = Duration::from_millis(300);

const HEAD: &str =
    "stack | lines | works | GETs replayed | POSTs replayed | failed logins found | works again";

struct Stack {
    package: &'static str,
    /// What the name of the package leaves open.
    protocol: &'static str,
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

const STACKS: [Stack; 8] = [
    Stack {
        package: "kube",
        protocol: "",
        recipe: recipe!("kube"),
        gets: true,
        client: calls::kube,
        login_error: None,
    },
    Stack {
        package: "octocrab",
        protocol: "",
        recipe: recipe!("octocrab"),
        gets: true,
        client: calls::octocrab,
        login_error: None,
    },
    Stack {
        package: "jsonrpsee",
        protocol: "",
        recipe: recipe!("jsonrpsee"),
        gets: false,
        client: calls::jsonrpsee,
        login_error: Some(|error| recipes::jsonrpsee::login_error(error.downcast_ref()?)),
    },
    Stack {
        package: "reqwest",
        protocol: "",
        recipe: recipe!("reqwest"),
        gets: true,
        client: calls::reqwest,
        login_error: None,
    },
    Stack {
        package: "progenitor",
        protocol: "",
        recipe: recipe!("progenitor"),
        gets: true,
        client: calls::progenitor,
        login_error: None,
    },
    Stack {
        package: "opentelemetry-otlp",
        protocol: ", HTTP",
        recipe: recipe!("otlp"),
        gets: false,
        client: calls::otlp,
        login_error: None,
    },
    Stack {
        package: "opentelemetry-otlp",
        protocol: ", gRPC",
        recipe: concat!(
            recipe!("otlp_grpc"),
            include_str!("../../../tests/recipes/to_status.rs")
        ),
        gets: false,
        client: calls::otlp_grpc,
        login_error: None,
    },
    Stack {
        package: "aws-smithy-runtime-api",
        protocol: "",
        recipe: recipe!("smithy"),
        gets: true,
        client: calls::smithy,
        login_error: None,
    },
];

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let page = include_str!("../../../src/guide/stacks.rs");
    let (mut rows, mut passed, mut tried) = (String::new(), 0, 0);
    let mut is_in_step = true;
    for stack in &STACKS {
        let (row, found) = stack.row().await?;
        passed += row.matches("| yes").count() + found;
        tried += row.matches("| yes").count() + row.matches("| no,").count() + FAILURES.len();
        if !page.contains(&row) {
            eprintln!("src/guide/stacks.rs lacks a row, or has another one: {row}");
            is_in_step = false;
        }
        rows += &row;
        rows += "\n";
    }
    let timeouts = timeouts::rows().await?;
    for row in &timeouts {
        if !page.contains(row) {
            eprintln!("src/guide/stacks.rs lacks a row, or has another one: {row}");
            is_in_step = false;
        }
    }
    println!("| {HEAD} |");
    print!("{rows}");
    println!("| {} |", timeouts::HEAD);
    println!("{}", timeouts.join("\n"));
    println!("timeouts: rows={}", timeouts.len());
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
    /// Runs the stack. Returns its row of the table, and the number of failed logins that were found.
    async fn row(&self) -> Result<(String, usize), BoxError> {
        let api = Api::start(REQUESTS).await?;
        let issuer = api.clone();
        let provider = CachedProvider::builder(login_fn(move |_| issuer.clone().log_in()))
            .policy(CachePolicy::default().login_timeout(TIMEOUT))
            .build();
        let url = format!("http://{}", api.address);
        let layer = BearerAuthLayer::new(provider.clone(), Origins::new(&url)?.strict());
        let call = (self.client)(&url, layer)?;

        let first = match self.gets {
            true => Method::GET,
            false => Method::POST,
        };
        let works = match send(self.package, &api, &call, first).await? {
            (0, 1, 0) => "yes",
            _ => "no, some failed",
        };
        let replayed = async |method| {
            api.revoke_token();
            let figures = send(self.package, &api, &call, method).await?;
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

        let (mut found, mut way, mut again) = (0, "they are lost", "yes");
        for failure in FAILURES {
            api.fail_logins(Some(failure));
            provider.reset();
            let Err(error) = call(Method::POST).await else {
                return Err("the login failed, and the request did not".into());
            };
            println!("{}{}: {failure:?}: {error}", self.package, self.protocol);
            let in_recipe = self.login_error.and_then(|find| find(&error));
            let ours = match (error.downcast_ref(), in_chain(&error), in_recipe) {
                (Some(ours), ..) => Some((ours, "by `downcast_ref`")),
                (_, Some(ours), _) => Some((ours, "in the chain of sources")),
                (.., Some(ours)) => Some((ours, "by `login_error`")),
                _ => None,
            };
            if let Some((_, by)) = ours.filter(|(ours, _)| tells(ours, failure)) {
                found += 1;
                way = by;
            }
            api.fail_logins(None);
            provider.reset();
            if call(Method::POST).await.is_err() {
                again = "no, it is dead";
            }
        }
        let row = format!(
            "| {} {}{} | {} | {works} | {gets} | {posts} | {found} of {}, {way} | {again} |",
            self.package,
            version(self.package).ok_or("not in Cargo.lock")?,
            self.protocol,
            lines(self.recipe),
            FAILURES.len(),
        );
        Ok((row, found))
    }
}

fn version(package: &str) -> Option<&'static str> {
    let name = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = include_str!("../Cargo.lock").split_once(&name)?;
    rest.split('"').next()
}
