//! Rows that go: all passkeys of one customer, and challenges whose time is over.

use std::time::Duration;

use crate::audit::Actor;
use crate::clock::Timestamp;
use crate::customers::{self, Email, NewCustomer};
use crate::db::{DEFAULT_TENANT, Db, Id, Target, Tx, migrate};
use crate::webauthn::store::{self, Inserted};
use crate::webauthn::{CredentialRow, challenge, remove_all};

async fn database() -> (Db, std::path::PathBuf) {
    let name = format!("queue-webauthn-{}", uuid::Uuid::now_v7().simple());
    let path = std::env::temp_dir().join(name);
    let db = Db::connect(&Target::Sqlite(path.clone()), 2).await.unwrap();
    migrate::up(&db).await.unwrap();
    (db, path)
}

async fn customer(tx: &mut Tx, address: &str, fill: u8) -> Id {
    let now = Timestamp::from_unix_seconds(1_000);
    let new = NewCustomer {
        id: Id::new(now),
        email: Email::parse(address).unwrap(),
        display_name: None,
        created_by: "test".to_owned(),
        now,
    };
    assert!(customers::make(tx, &new, &Actor::system()).await.unwrap());
    for place in 0..2 {
        let row = CredentialRow {
            id: Id::new(now),
            customer: new.id,
            credential_id: vec![fill + place; 16],
            name: "key".to_owned(),
            passkey: "{}".to_owned(),
            aaguid: None,
            transports: String::new(),
            sign_count: 0,
            backup_eligible: false,
            backup_state: false,
            created_at: now,
            last_used_at: None,
        };
        assert_eq!(store::insert(tx, &row).await.unwrap(), Inserted::Yes);
    }
    new.id
}

#[tokio::test]
async fn all_passkeys_of_one_customer_go() {
    let (db, path) = database().await;
    let mut tx = db.begin().await.unwrap();
    let ada = customer(&mut tx, "ada@example.com", 0).await;
    let eve = customer(&mut tx, "eve@example.com", 10).await;
    assert_eq!(remove_all(&mut tx, ada).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert!(store::of_customer(&db, ada).await.unwrap().is_empty());
    assert_eq!(store::of_customer(&db, eve).await.unwrap().len(), 2);
    assert!(store::find(&db, &[0; 16]).await.unwrap().is_none());
    db.close().await;
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn challenges_whose_time_is_over_go() {
    let (db, path) = database().await;
    let made = Timestamp::from_unix_seconds(1_000);
    let mut tx = db.begin().await.unwrap();
    for life in [300, 301] {
        let binding = [7; 32];
        let values = [
            Id::new(made).into(),
            DEFAULT_TENANT.into(),
            binding.as_slice().into(),
            made.into(),
            made.plus(Duration::from_secs(life)).into(),
        ];
        let sql = "INSERT INTO queue_webauthn_challenges (id, tenant_id, ceremony, session_binding, state,
                                                          created_at, expires_at)
                   VALUES ($1, $2, 'login', $3, '{}', $4, $5)";
        tx.execute(sql, &values).await.unwrap();
    }
    tx.commit().await.unwrap();
    let now = made.plus(Duration::from_secs(300));
    challenge::sweep(&db, now).await.unwrap();
    let left = db.fetch_all("SELECT id FROM queue_webauthn_challenges", &[]);
    assert_eq!(left.await.unwrap().len(), 1);
    db.close().await;
    std::fs::remove_file(path).unwrap();
}
