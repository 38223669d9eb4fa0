//! What comes in between: commands during a login, late effects, and records that are gone.

use tower_bearer::{
    CachedProvider,
    store::{CredentialStore, SharedAccount},
};

use super::{
    account::{Account, KEY},
    runtime,
    unruly::{Mode, Unruly},
};

// ===== refresh tokens =====

#[test]
fn no_refresh_token_is_spent_without_the_lock() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), Unruly::default());
        store.set(Mode::Locked);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store, *KEY).log_in_without_lock())
            .starting_with_refresh_token("r0")
            .build();
        provider.acquire().await.unwrap();
        assert_eq!((account.passwords(), account.refreshes()), (1, 0));
    });
}

// ===== commands =====

#[test]
fn a_login_without_the_lock_is_not_published_after_a_sign_out() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), Unruly::default());
        store.set(Mode::Locked);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY).log_in_without_lock())
            .build();
        let (freed, signed_out) = (store.clone(), provider.clone());
        account.on_login(move || {
            freed.set(Mode::Works);
            signed_out.sign_out();
        });
        provider.acquire().await.unwrap_err();
        provider.settled().await;
        assert_eq!(account.logins(), 1);
        assert!(store.read(*KEY).await.unwrap().is_none());
    });
}
