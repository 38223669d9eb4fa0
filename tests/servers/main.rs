//! Logins at servers that others wrote: oidc-provider, django-oauth-toolkit, simplejwt and nginx.
//!
//! `.ci/run servers` installs them, runs these tests and prints a table. Without it the tests are skipped.

#[path = "../support/mod.rs"]
mod support;

mod behaviours;
mod client;
mod django;
mod nginx;
mod oidc_provider;
mod process;
mod report;
