//! Opening: takes settings, gives a migrated database and the keys in it, before any port is bound.
//!
//! **Invariant:** secrets are fetched while nothing is open yet: one that is missing changes nothing.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::AppError;
use crate::clock::Clock;
use crate::db::{Db, DbError, migrate};
use crate::key::bootstrap::{self, BootstrapError};
use crate::key::material::SigningKey;
use crate::key::rotation::Timing;
use crate::key::sealing::Kek;
use crate::key::{KeyError, Keyring};
use crate::settings::{Settings, SettingsError};

/// Opens and migrates the database and makes sure there is a key; binds no port.
pub(super) async fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(Db, Keyring), AppError> {
    let configured = Configured::read(settings).await?;
    let db = connect(settings).await?;
    let applied = migrate::up(&db).await.map_err(|error| database(&error))?;
    for migration in applied {
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "migration applied"
        );
    }
    let keys = configured.keyring(settings, clock, db.clone());
    bootstrap::ensure(&keys)
        .await
        .map_err(|error| match error {
            BootstrapError::Settings { key, what } => SettingsError::new(key, what).into(),
            BootstrapError::Key(error) => key_error(&error),
        })?;
    keys.reload().await.map_err(|error| key_error(&error))?;
    Ok((db, keys))
}

/// Opens a migrated database and its keys as they are, as the command line does: nothing is made.
pub(crate) async fn open_existing(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(Db, Keyring), AppError> {
    let configured = Configured::read(settings).await?;
    let db = connect(settings).await?;
    let pending = migrate::pending(&db)
        .await
        .map_err(|error| database(&error))?;
    if !pending.is_empty() {
        return Err(AppError::Database(
            "migrations are pending; run queue-issuer migrate up".to_owned(),
        ));
    }
    let keys = configured.keyring(settings, clock, db.clone());
    keys.reload().await.map_err(|error| key_error(&error))?;
    Ok((db, keys))
}

/// Opens the database alone.
pub(crate) async fn connect(settings: &Settings) -> Result<Db, AppError> {
    if settings.has_sqlite() {
        settings.make_data_dir()?;
    }
    Db::connect(&settings.database, settings.database_connections)
        .await
        .map_err(|error| database(&error))
}

/// The secrets behind the keys, fetched while nothing is open yet: one that is missing changes nothing.
struct Configured {
    configured: Vec<SigningKey>,
    kek: Option<Kek>,
}

impl Configured {
    async fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let configured = match &settings.signing_key {
            Some(source) => {
                let pem = source.read(SIGNING_KEY).await?;
                SigningKey::from_pem(pem.expose_secret())
                    .map_err(|error| SettingsError::new(SIGNING_KEY, error.to_string()))?
            }
            None => Vec::new(),
        };
        let kek = Kek::resolve(settings).await?;
        Ok(Self { configured, kek })
    }

    fn keyring(self, settings: &Settings, clock: &Arc<dyn Clock>, db: Db) -> Keyring {
        let timing = Timing {
            jwks_max_age: settings.jwks_max_age,
            refresh_allowance: settings.refresh_allowance,
            leeway: settings.leeway,
            token_life: settings.token_life,
        };
        Keyring::new(
            db,
            Arc::clone(clock),
            self.kek,
            self.configured,
            timing,
            settings.rsa_bits,
            settings.url.clone(),
            settings.audiences.clone(),
        )
    }
}

pub(crate) fn database(error: &DbError) -> AppError {
    AppError::Database(crate::problem::chain(error))
}

pub(crate) fn key_error(error: &KeyError) -> AppError {
    AppError::Keys(crate::problem::chain(error))
}

const SIGNING_KEY: &str = "QUEUE_JWT_SIGNING_KEY (signing_key)";
