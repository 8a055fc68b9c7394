//! Logins of processors that want one: asked for once, used until their time is over.

use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tollgate_connectors::Login;
use tollgate_core::card::Secret;

/// A login is given up this long before its end: a call that begins with it must not end without it.
const SPARE: Duration = Duration::from_secs(60);

/// The login of one processor account.
#[derive(Debug, Default)]
pub struct LoginCache(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    authorization: Secret,
    until: Instant,
}

impl LoginCache {
    /// The `authorization` header: the one kept, or a new one from `ask`. Of callers that come at once
    /// one asks, and the others wait for its answer.
    pub(crate) async fn get<E>(&self, ask: impl Future<Output = Result<Login, E>>) -> Result<Secret, E> {
        let mut kept = self.0.lock().await;
        if let Some(login) = kept.as_ref().filter(|login| Instant::now() < login.until) {
            return Ok(login.authorization.clone());
        }
        let login = ask.await?;
        let lives = Duration::from_millis(login.lives_ms);
        let spare = SPARE.min(lives / 4);
        *kept = Some(Kept {
            authorization: login.authorization.clone(),
            until: Instant::now() + lives.saturating_sub(spare),
        });
        Ok(login.authorization)
    }

    /// Forgets the login: the processor refused it.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn get(cache: &LoginCache, asked: &AtomicU32, lives_ms: u64) -> String {
        let login = async {
            let count = asked.fetch_add(1, Ordering::SeqCst);
            Ok::<_, ()>(Login { authorization: Secret::new(format!("token {count}")), lives_ms })
        };
        cache.get(login).await.unwrap().expose().to_owned()
    }

    #[tokio::test]
    async fn one_login_serves_until_it_ends_or_is_refused() {
        let (cache, asked) = (LoginCache::default(), AtomicU32::new(0));
        assert_eq!(get(&cache, &asked, 3_600_000).await, "token 0");
        assert_eq!(get(&cache, &asked, 3_600_000).await, "token 0");
        cache.forget().await;
        assert_eq!(get(&cache, &asked, 0).await, "token 1");
        assert_eq!(get(&cache, &asked, 0).await, "token 2", "one that has ended is not used");
        assert!(!format!("{cache:?}").contains("token"));
    }

    #[tokio::test]
    async fn a_failed_login_is_not_kept() {
        let cache = LoginCache::default();
        assert_eq!(cache.get(async { Err::<Login, _>("down") }).await.err(), Some("down"));
        assert_eq!(get(&cache, &AtomicU32::new(7), 1_000).await, "token 7");
    }
}
