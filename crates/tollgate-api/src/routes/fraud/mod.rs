//! The fraud check: a merchant's policy, the payments it found something in, and what people say of them.

pub(crate) mod decisions;
pub(crate) mod feedback;
pub(crate) mod lists;
pub(crate) mod policy;
