//! TLS to a server with a certificate of a test's own.

use crate::small;
use crate::support::cluster::{Cluster, give};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tollgate_store::Store;
use tollgate_store::postgres::{PostgresOptions, PostgresStore, migrate};

/// A server that takes nothing but TLS and passwords, and the authority's file.
fn server(names: &[&str]) -> (Cluster, PathBuf) {
    let cluster = Cluster::new("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'");
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let data = cluster.data();
    let roots = data.join("authority.pem");
    for (file, text) in [
        (data.join("server.crt"), certificate.pem()),
        (data.join("server.key"), key.serialize_pem()),
        (roots.clone(), authority.pem()),
    ] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        give(&file);
    }
    cluster.start();
    (cluster, roots)
}

fn options(cluster: &Cluster, params: &str) -> PostgresOptions {
    small(&format!("{}?{params}", cluster.url()), 1)
}

async fn refusal(options: &PostgresOptions) -> String {
    migrate(options).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn the_server_must_be_the_one_that_is_named() {
    let (cluster, roots) = server(&["127.0.0.1", "localhost"]);
    let with_roots = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    let good = options(&cluster, &with_roots);
    migrate(&good).await.unwrap();
    let store = PostgresStore::open(good).await.unwrap();
    assert!(store.health().await.is_ok());
    let client = crate::support::connect(&cluster.url()).await;
    let encrypted =
        "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name = 'tollgate'";
    let row = client.query_one(encrypted, &[]).await.unwrap();
    let (count, all): (i64, i64) = (row.get(0), row.get(1));
    assert!(count > 0 && count == all, "{count} of {all}");
    // Without the authority's file, those of browsers are asked, who do not know it.
    let unknown = refusal(&options(&cluster, "sslmode=verify-full")).await;
    assert!(unknown.contains("UnknownIssuer") || unknown.contains("certificate"), "{unknown}");
    // Whoever only wants not to be listened to takes it.
    migrate(&options(&cluster, "sslmode=require")).await.unwrap();
    // The file may be named apart from the address.
    let mut apart = options(&cluster, "sslmode=verify-full");
    apart.tls_roots = Some(roots);
    migrate(&apart).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn another_server_is_not_believed_and_a_plain_one_not_spoken_to() {
    let (cluster, roots) = server(&["db.example"]);
    let params = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    let refused = refusal(&options(&cluster, &params)).await;
    assert!(refused.contains("certificate"), "{refused}");
    let plain = Cluster::new("");
    plain.start();
    for kind in ["require", "verify-full"] {
        let refused = refusal(&options(&plain, &format!("sslmode={kind}"))).await;
        assert!(refused.contains("TLS"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn passwords_are_bound_to_the_channel() {
    let (cluster, roots) = server(&["127.0.0.1"]);
    let client = crate::support::connect(&cluster.url()).await;
    client
        .batch_execute("CREATE ROLE pay LOGIN PASSWORD 'of a test'; GRANT CREATE ON SCHEMA public TO pay")
        .await
        .unwrap();
    let access = cluster.data().join("pg_hba.conf");
    std::fs::write(
        &access,
        "hostssl all pay 127.0.0.1/32 scram-sha-256\nhost all tollgate 127.0.0.1/32 trust\n",
    )
    .unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let place = format!("127.0.0.1:{}/postgres", cluster.port);
    let params = format!("sslmode=verify-full&sslrootcert={}&channel_binding=require", roots.display());
    let mut options = small(&format!("postgres://pay@{place}?{params}"), 1);
    options.password = Some("of a test".to_owned());
    migrate(&options).await.unwrap();
    options.password = Some("another".to_owned());
    let refused = refusal(&options).await;
    assert!(refused.contains("28P01") && !refused.contains("another"), "{refused}");
}
