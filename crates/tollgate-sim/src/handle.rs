//! What can be done to a running simulator from outside its wire format: faults set, connections refused,
//! strikes counted.

use crate::fault::{Fault, FaultProfile, ProfileError, WAIT_MAX};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Sets the faults of a simulator in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    profile: RwLock<Arc<FaultProfile>>,
    /// Until when connections are refused.
    refusing: watch::Sender<Option<Instant>>,
    /// How often each fault has struck, in the order of [`Fault::ALL`].
    struck: [AtomicU64; Fault::ALL.len()],
}

impl Handle {
    pub(crate) fn new(profile: FaultProfile) -> Self {
        Self(Arc::new(Shared {
            profile: RwLock::new(Arc::new(profile)),
            refusing: watch::Sender::new(None),
            struck: Default::default(),
        }))
    }

    /// The faults as they are.
    #[must_use]
    pub fn profile(&self) -> Arc<FaultProfile> {
        Arc::clone(&self.0.profile.read())
    }

    /// Replaces the faults.
    ///
    /// # Errors
    /// [`ProfileError`] when they are out of bounds; nothing is changed then.
    pub fn set_faults(&self, profile: FaultProfile) -> Result<(), ProfileError> {
        profile.check()?;
        self.put(profile);
        Ok(())
    }

    pub(crate) fn put(&self, profile: FaultProfile) {
        *self.0.profile.write() = Arc::new(profile);
    }

    /// Closes the listener for a time, at most five minutes, and lets open connections finish what they
    /// are at: new ones are refused. Afterwards the simulator listens at the same port.
    ///
    /// # Errors
    /// [`ProfileError::Time`] when the time is longer.
    pub fn refuse_for(&self, time: Duration) -> Result<(), ProfileError> {
        if time > WAIT_MAX {
            return Err(ProfileError::Time);
        }
        self.0.refusing.send_replace(Some(Instant::now() + time));
        Ok(())
    }

    pub(crate) fn refusing(&self) -> watch::Receiver<Option<Instant>> {
        self.0.refusing.subscribe()
    }

    pub(crate) fn count(&self, fault: Fault) {
        for ((_, known), count) in Fault::ALL.iter().zip(&self.0.struck) {
            if *known == fault {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How often each fault has struck by the dice, by the name of its field in the profile.
    pub fn struck(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::ALL.iter().zip(&self.0.struck).map(|((name, _), count)| (*name, count.load(Ordering::Relaxed)))
    }
}
