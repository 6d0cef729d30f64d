//! Reading any log, that of account events included, and noting where a chain ends.

use super::Operator;
use crate::audit::{ChainId, CheckpointKey};
use crate::dashboard::audit_log::{AuditExport, AuditPage, export, page};
use crate::dashboard::error::OperatorError;
use crate::store::AuditFilter;

impl Operator {
    /// The entries of a log that fit, the latest first, at most 1,000 a page.
    ///
    /// # Errors
    /// [`OperatorError::Fault`].
    pub async fn audit_log(
        &self,
        chain: ChainId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPage, OperatorError> {
        let mut snapshot = self.inner().read().await?;
        Ok(page(&mut *snapshot, chain, filter, limit).await?)
    }

    /// A piece of a log as JSON Lines, in the order of its chain, from behind a place (0: from the first entry). The last
    /// piece ends with the entries that are not chained yet. What [`audit::verify`](crate::audit::verify) reads.
    ///
    /// # Errors
    /// [`OperatorError::Fault`].
    pub async fn export_audit(
        &self,
        chain: ChainId,
        after: u64,
        limit: u32,
    ) -> Result<AuditExport, OperatorError> {
        let mut snapshot = self.inner().read().await?;
        Ok(export(&mut *snapshot, chain, after, limit).await?)
    }

    /// Where a chain ends now, signed under a key that is kept outside the database. Keep the text where whoever can
    /// write the database cannot: from then on, cutting off or rewriting what is before it shows.
    ///
    /// # Errors
    /// [`OperatorError::Fault`].
    pub async fn audit_checkpoint(
        &self,
        chain: ChainId,
        key: &CheckpointKey,
    ) -> Result<String, OperatorError> {
        Ok(self.inner().checkpoint(chain, key).await?)
    }
}
