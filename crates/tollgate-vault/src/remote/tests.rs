//! Both transports, and what an awkward other side can do.

use super::frame::{Reply, Request};
use super::*;
use crate::{CardVault, MemoryVault, Owner, Proof, Purpose, VaultError};
use async_trait::async_trait;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::id::{IdParts, MerchantId, PaymentId};

const LIMIT: Duration = Duration::from_secs(20);

fn merchant() -> MerchantId {
    MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random: 1 })
}

fn card() -> CardSecret {
    CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 12,
        exp_year: 2030,
        cvc: None,
        holder: None,
        network_token: None,
    }
}

/// Answers a payload with itself turned round; `slow` takes its time and `panic` panics.
#[derive(Debug, Default)]
struct Mirror {
    done: AtomicU64,
}

#[async_trait]
impl Performer for Mirror {
    async fn perform(&self, payload: &[u8]) -> Vec<u8> {
        match payload {
            b"slow" => tokio::time::sleep(Duration::from_millis(400)).await,
            b"panic" => panic!("told to"),
            b"long" => return vec![0; 2 * FRAME_LENGTH_MAX],
            _ => {}
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        payload.iter().rev().copied().collect()
    }
}

struct Running {
    vault: Arc<MemoryVault>,
    mirror: Arc<Mirror>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn start(listener: Listener, options: ServerOptions) -> Running {
    let (vault, mirror) = (Arc::new(MemoryVault::new(10, 1_000_000)), Arc::new(Mirror::default()));
    let server = VaultServer::new(vault.clone(), mirror.clone(), options);
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(async move { server.serve(listener, async { drop(ended.await) }).await });
    Running { vault, mirror, end, task }
}

fn brief() -> RemoteOptions {
    RemoteOptions {
        connections_max: 4,
        connect_timeout_ms: 1_000,
        request_timeout_ms: 2_000,
        perform_timeout_ms: 2_000,
        idle_max_ms: 60_000,
    }
}

fn at(path: &Path) -> RemoteVault {
    RemoteVault::new(Target::Unix(path.to_owned()), brief())
}

struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    fn identity(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> TlsIdentity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str| self.folder.join(format!("{name}.{kind}.pem"));
        std::fs::write(file("crt"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        TlsIdentity { certificate: file("crt"), key: file("key"), authority: self.folder.join("ca.pem") }
    }

    fn server(&self) -> TlsIdentity {
        self.identity("vault.test", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self) -> TlsIdentity {
        self.identity("gateway.test", ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// Everything that may be asked, whatever the transport.
async fn all_works(remote: &RemoteVault, running: &Running) {
    remote.ping().await.unwrap();
    let held = running.vault.hold(merchant(), card(), 1).await.unwrap();
    assert_eq!(remote.describe(merchant(), held.token, 1).await.unwrap(), held);
    assert_eq!(
        remote.store(merchant(), Owner::of("customer"), held.token, 1).await,
        Err(VaultError::Unavailable)
    );
    remote.release(merchant(), held.token, None).await;
    assert_eq!(running.vault.held(), 0);
    assert_eq!(remote.describe(merchant(), held.token, 1).await, Err(VaultError::NotFound));
    assert_eq!(remote.delete(merchant(), held.token, 1).await, Err(VaultError::NotFound));
    let held = running.vault.hold(merchant(), card(), 1).await.unwrap();
    remote.delete(merchant(), held.token, 1).await.unwrap();
    assert_eq!(remote.shred(merchant(), 1).await, Err(VaultError::Unavailable));

    assert_eq!(remote.perform(b"charge").await.unwrap(), b"egrahc");
    let long = vec![7; FRAME_LENGTH_MAX - 16];
    assert_eq!(remote.perform(&long).await.unwrap(), long);
    assert_eq!(remote.perform(&vec![7; FRAME_LENGTH_MAX]).await, Err(PerformError::NotSent));
    // Many at once, over fewer connections.
    let remote = &remote;
    let many = (0..40_u8).map(|number| async move {
        assert_eq!(remote.perform(&[number, 1]).await.unwrap(), [1, number]);
    });
    let mut tasks: Vec<_> = many.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        if tasks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let running = start(Listener::unix(&path).unwrap(), ServerOptions::default());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let remote = at(&path);
    all_works(&remote, &running).await;
    assert_eq!(Listener::unix(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);

    // Clear cards do not pass: nothing is sent, there need not even be a vault.
    let nobody = at(&folder.path().join("nobody"));
    let purpose = Purpose::Charge(PaymentId::from_u128(1));
    let token = crate::CardToken::from_random(1);
    assert_eq!(nobody.hold(merchant(), card(), 1).await, Err(VaultError::Apart));
    let code = Proof { cvc: Some(Cvc::parse("123").unwrap()), network_token: None };
    assert_eq!(nobody.hold_proof(merchant(), code, 1).await, Err(VaultError::Apart));
    let taken = nobody.withdraw(merchant(), token, None, purpose, 1).await.map(drop);
    assert_eq!(taken, Err(VaultError::Apart));
    assert_eq!(nobody.perform(b"charge").await, Err(PerformError::NotSent));

    running.end.send(()).unwrap();
    tokio::time::timeout(LIMIT, running.task).await.unwrap().unwrap();
    assert!(!path.exists());
    // The pooled connections are dead: that is seen before anything is written.
    assert_eq!(remote.perform(b"charge").await, Err(PerformError::NotSent));
    // A server started again is found again; a socket that nobody listens at is taken over.
    drop(UnixListener::bind(&path).unwrap());
    let again = start(Listener::unix(&path).unwrap(), ServerOptions::default());
    assert_eq!(remote.perform(b"charge").await.unwrap(), b"egrahc");
    assert_eq!(again.mirror.done.load(Ordering::SeqCst), 1);
    std::fs::write(folder.path().join("file"), "x").unwrap();
    assert!(Listener::unix(folder.path().join("file")).is_err());
}

#[tokio::test]
async fn over_mutual_tls() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(&folder.path().join("ours"));
    let theirs = Authority::new(&folder.path().join("theirs"));
    let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), &ours.server()).await.unwrap();
    let address = listener.address().unwrap().to_string();
    let running = start(listener, ServerOptions { frame_timeout_ms: 300, ..ServerOptions::default() });
    let client = |name: &str, identity: &TlsIdentity| {
        RemoteVault::new(Target::tls(&address, name, identity).unwrap(), brief())
    };
    all_works(&client("vault.test", &ours.client()), &running).await;
    let done = running.mirror.done.load(Ordering::SeqCst);

    // A stranger's certificate, a server's used as a client's, ours with a stranger's server or name.
    let strange = TlsIdentity { authority: ours.client().authority, ..theirs.client() };
    let wrong_use = ours.server();
    let wrong_authority = TlsIdentity { authority: theirs.client().authority, ..ours.client() };
    for (name, identity) in [
        ("vault.test", &strange),
        ("vault.test", &wrong_use),
        ("vault.test", &wrong_authority),
        ("other.test", &ours.client()),
    ] {
        let remote = client(name, identity);
        assert_eq!(remote.perform(b"charge").await, Err(PerformError::NotSent));
        assert_eq!(remote.ping().await, Err(VaultError::Unavailable));
    }
    // No TLS at all, and a handshake that never goes on.
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain
        .write_all(&frame::encode(&Request::Perform { payload: b"charge".to_vec() }).unwrap())
        .await
        .unwrap();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    for stream in [&mut plain, &mut silent] {
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(frame::decode::<Reply>(answer.get(4..).unwrap_or_default()).is_none());
    }
    assert_eq!(running.mirror.done.load(Ordering::SeqCst), done);
    assert_eq!(client("vault.test", &ours.client()).perform(b"ab").await.unwrap(), b"ba");

    // A certificate that is none.
    let missing = TlsIdentity { certificate: folder.path().join("none.pem"), ..ours.client() };
    assert!(Target::tls("127.0.0.1:1", "vault.test", &missing).is_err());
    let swapped = TlsIdentity { certificate: ours.client().key, ..ours.client() };
    assert!(Target::tls("127.0.0.1:1", "vault.test", &swapped).is_err());
}

#[tokio::test]
async fn the_server_stands_garbage_oversize_and_cut_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let options =
        ServerOptions { frame_timeout_ms: 200, idle_timeout_ms: 400, connections_max: 3, grace_ms: 5_000 };
    let running = start(Listener::unix(&path).unwrap(), options);
    let right = frame::encode(&Request::Perform { payload: b"charge".to_vec() }).unwrap();
    let mut wrong_version = right.clone();
    wrong_version[4] = 9;
    let mut longer = right.clone();
    longer[3] += 1;
    longer.push(0);
    for (bytes, refused) in [
        (wrong_version, true),
        (longer, true),
        (vec![0, 0, 0, 3, 1, 255, 255], true),
        (vec![0, 0, 0, 0], false),
        (vec![255, 255, 255, 255], false),
        ([(u32::try_from(FRAME_LENGTH_MAX).unwrap() + 1).to_be_bytes().as_slice(), &[0; 9]].concat(), false),
        (vec![0, 0], false),
        (right[..right.len() - 1].to_vec(), false),
        (Vec::new(), false),
    ] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // It ends by itself: within the time for a frame, or for idling.
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
        let found = answer.get(4..).and_then(frame::decode::<Reply>);
        assert_eq!(matches!(found, Some(Reply::Refused)), refused, "{bytes:?}");
    }
    assert_eq!(running.mirror.done.load(Ordering::SeqCst), 0);
    // One who leaves right after asking does not undo what was begun.
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(&frame::encode(&Request::Perform { payload: b"slow".to_vec() }).unwrap()).await.unwrap();
    drop(stream);
    let begun = Instant::now();
    while running.mirror.done.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Three who say nothing take all the room, until their time is over.
    let _idle = [
        UnixStream::connect(&path).await.unwrap(),
        UnixStream::connect(&path).await.unwrap(),
        UnixStream::connect(&path).await.unwrap(),
    ];
    assert_eq!(at(&path).perform(b"ab").await.unwrap(), b"ba");
}

#[tokio::test]
async fn what_may_have_arrived_is_doubtful_and_nothing_is_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let running = start(Listener::unix(&path).unwrap(), ServerOptions::default());
    let hasty = RemoteOptions { perform_timeout_ms: 100, ..brief() };
    let remote = RemoteVault::new(Target::Unix(path.clone()), hasty);
    assert_eq!(remote.perform(b"slow").await, Err(PerformError::Doubtful));
    // The late answer to that one is not taken for the answer to this.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(remote.perform(b"ab").await.unwrap(), b"ba");
    assert_eq!(remote.perform(b"panic").await, Err(PerformError::Doubtful));
    assert_eq!(remote.perform(b"long").await, Err(PerformError::Doubtful));
    assert_eq!(remote.perform(b"ab").await.unwrap(), b"ba");
    // Under way when the server ends: it is ended, not cut off.
    let remote = Arc::new(at(&path));
    let done = running.mirror.done.load(Ordering::SeqCst);
    let other = Arc::clone(&remote);
    let under_way = tokio::spawn(async move { other.perform(b"slow").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.end.send(()).unwrap();
    assert_eq!(under_way.await.unwrap().unwrap(), b"wols");
    assert_eq!(running.mirror.done.load(Ordering::SeqCst), done + 1);
    tokio::time::timeout(LIMIT, running.task).await.unwrap().unwrap();

    // A server that greets and then hangs up, at each byte of the request, or says nonsense.
    let request = frame::encode(&Request::Perform { payload: b"charge".to_vec() }).unwrap();
    let hello = frame::encode(&Request::Hello).unwrap().len();
    let welcome = frame::encode(&Reply::Done).unwrap();
    let refused = frame::encode(&Reply::Refused).unwrap();
    let answers = [
        None,
        Some(vec![0, 0, 0, 2, 1, 99]),
        Some(vec![255; 8]),
        Some(welcome.clone()),
        Some(refused.clone()),
    ];
    for (answer, read) in
        answers.into_iter().flat_map(|answer| [(answer.clone(), 1), (answer, request.len())])
    {
        let path = folder.path().join("odd.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let (welcome, refusal) = (welcome.clone(), answer.as_deref() == Some(refused.as_slice()));
        let odd = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut vec![0; hello]).await.unwrap();
            stream.write_all(&welcome).await.unwrap();
            stream.read_exact(&mut vec![0; read]).await.unwrap();
            if let Some(answer) = answer {
                stream.write_all(&answer).await.unwrap();
            }
            drop(stream);
            // Whoever comes again would be sending again.
            tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_err()
        });
        let expected = if refusal { PerformError::NotSent } else { PerformError::Doubtful };
        assert_eq!(at(&path).perform(b"charge").await, Err(expected));
        assert!(odd.await.unwrap(), "it was sent twice");
    }

    // A server that does not greet: nothing was sent.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = Authority::new(&folder.path().join("ours"));
    let address = listener.local_addr().unwrap().to_string();
    let target = Target::tls(address, "vault.test", &ours.client()).unwrap();
    let remote = RemoteVault::new(target, RemoteOptions { connect_timeout_ms: 200, ..brief() });
    assert_eq!(remote.perform(b"charge").await, Err(PerformError::NotSent));
}
