//! Every statement of the database queue, in SQL that both SQLite and PostgreSQL understand.
//!
//! Each statement that moves messages finds its rows through an index, so that its cost does not grow with
//! the backlog. A test reads SQLite's query plans.

/// Reserves the next sequence number of a group, creating the group if it is missing. On PostgreSQL, the row
/// lock that this takes serializes the senders of a group until they commit.
pub(super) const RESERVE_SEQ: &str = "
    INSERT INTO queue_group (group_id, first_seq, next_seq, visible_at) VALUES ($1, 1, 2, $2)
    ON CONFLICT (group_id) DO UPDATE SET next_seq = queue_group.next_seq + 1
    RETURNING next_seq - 1";

/// Stores a message, or nothing if the queue holds it already.
pub(super) const STORE: &str = "
    INSERT INTO queue_message (group_id, seq, message_id, body, sent_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (message_id) DO NOTHING";

/// Releases a sequence number that was reserved for a duplicate. The lock of [`RESERVE_SEQ`] is still held.
pub(super) const RELEASE_SEQ: &str = "
    UPDATE queue_group SET next_seq = next_seq - 1 WHERE group_id = $1";

/// Leases the groups that have been ready longest. The condition on `visible_at` appears twice because
/// PostgreSQL selects before it locks: of two workers that selected the same group, the later one finds it
/// leased. A group that still has a lease belonged to a worker that died.
pub(super) const CLAIM: &str = "
    UPDATE queue_group
    SET visible_at = $1, lease = $2, losses = losses + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
    WHERE group_id IN (SELECT group_id FROM queue_group WHERE visible_at <= $3 ORDER BY visible_at LIMIT $4)
      AND visible_at <= $3
      AND NOT EXISTS (SELECT 1 FROM queue_pause)
    RETURNING group_id, first_seq, attempts, losses";

/// Reads a message.
pub(super) const READ: &str = "
    SELECT message_id, body, sent_at FROM queue_message WHERE group_id = $1 AND seq = $2";

/// Extends a lease.
pub(super) const EXTEND: &str = "
    UPDATE queue_group SET visible_at = $1 WHERE group_id = $2 AND lease = $3";

/// Ends a lease: the message is received again from a given time on. A retry adds a failed attempt. A
/// deferral resets the losses, which count only in a row: otherwise a message that waits for hours would be
/// blamed for the death of every worker around it.
pub(super) const RELEASE: &str = "
    UPDATE queue_group SET visible_at = $1, attempts = attempts + $2, losses = losses * $3, lease = NULL
    WHERE group_id = $4 AND lease = $5";

/// Ends a lease and moves on to the group's next message.
pub(super) const ADVANCE: &str = "
    UPDATE queue_group SET first_seq = first_seq + 1, attempts = 0, losses = 0, visible_at = $1, lease = NULL
    WHERE group_id = $2 AND lease = $3
    RETURNING first_seq, next_seq";

/// Removes a message that its group has moved past.
pub(super) const REMOVE: &str = "
    DELETE FROM queue_message WHERE group_id = $1 AND seq = $2";

/// Removes a group. The lock of [`ADVANCE`] is still held, so that no message can have been sent to it since.
pub(super) const REMOVE_GROUP: &str = "
    DELETE FROM queue_group WHERE group_id = $1";

/// Moves a group that is not leased ahead of all groups that are not prioritized. Prioritized groups keep
/// their order among themselves.
pub(super) const PRIORITIZE: &str = "
    UPDATE queue_group SET visible_at = visible_at - $1
    WHERE group_id = $2 AND lease IS NULL AND visible_at > $3";

/// Pauses consumption, or moves the time to probe.
pub(super) const PAUSE: &str = "
    INSERT INTO queue_pause (dependency, reason, paused_at, until) VALUES ($1, $2, $3, $4)
    ON CONFLICT (dependency) DO UPDATE SET reason = excluded.reason, until = excluded.until";

/// Ends a pause.
pub(super) const RESUME: &str = "
    DELETE FROM queue_pause WHERE dependency = $1";

/// The active pauses.
pub(super) const PAUSES: &str = "
    SELECT dependency, reason, paused_at, until FROM queue_pause ORDER BY paused_at, dependency";

/// Counts messages and leases, of 100,000 leads at most and without the messages' bodies, and finds the time
/// of the oldest message.
pub(super) const DEPTH: &str = "
    SELECT (SELECT CAST(COALESCE(SUM(waiting), 0) AS BIGINT) FROM
               (SELECT next_seq - first_seq AS waiting FROM queue_group LIMIT 100000) AS counted),
           (SELECT COUNT(lease) FROM
               (SELECT lease FROM queue_group WHERE visible_at > $1 LIMIT 100000) AS leased),
           (SELECT MIN(sent_at) FROM queue_message)";

#[cfg(test)]
mod tests {
    use database::Database;
    use sqlx::{AssertSqlSafe, Row};

    use super::*;

    #[tokio::test]
    async fn statements_that_move_messages_scan_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("queue.db").display());
        let database = Database::connect(&url, 1).await.unwrap();
        database.migrate().await.unwrap();
        let mut searches = 0;
        for statement in [
            RESERVE_SEQ,
            STORE,
            RELEASE_SEQ,
            CLAIM,
            READ,
            EXTEND,
            RELEASE,
            ADVANCE,
            REMOVE,
            REMOVE_GROUP,
            PRIORITIZE,
            PAUSE,
            RESUME,
        ] {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            for row in sqlx::query(explain).fetch_all(database.pool()).await.unwrap() {
                let step: String = row.get("detail");
                // There is at most one pause for each dependency, so a scan of the pauses is cheap.
                let grows = !step.contains("queue_pause");
                assert!(
                    !(grows && (step.contains("SCAN") || step.contains("TEMP B-TREE"))),
                    "{statement}: {step}"
                );
                searches += usize::from(step.contains("SEARCH"));
            }
        }
        assert!(searches >= 9, "the plans read as expected");
    }
}
