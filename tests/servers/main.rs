//! Logins at servers that others wrote: oidc-provider, django-oauth-toolkit, simplejwt and nginx.
//!
//! `.ci/run servers` installs them, runs these tests and prints a table. Without it the tests are skipped.

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../../examples/probe/probe/mod.rs"]
mod probe;

mod behaviours;
mod client;
mod django;
mod nginx;
mod oidc_provider;
mod probed;
mod process;
mod report;
mod sdk;
