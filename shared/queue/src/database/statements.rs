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

/// Reserves the next sequence number of each given group, as [`RESERVE_SEQ`] does for one.
pub(super) const RESERVE_SEQS: &str = "
    INSERT INTO queue_group (group_id, first_seq, next_seq, visible_at)
    SELECT group_id, 1, 2, visible_at FROM given WHERE true
    ON CONFLICT (group_id) DO UPDATE SET next_seq = queue_group.next_seq + 1
    RETURNING group_id, next_seq - 1";

/// Stores the given messages that the queue does not hold already, and returns their groups.
pub(super) const STORE_ALL: &str = "
    INSERT INTO queue_message (group_id, seq, message_id, body, sent_at)
    SELECT group_id, seq, message_id, body, sent_at FROM given WHERE true
    ON CONFLICT (message_id) DO NOTHING RETURNING group_id";

/// Releases a sequence number that was reserved for a duplicate. The lock of [`RESERVE_SEQ`] is still held.
pub(super) const RELEASE_SEQ: &str = "
    UPDATE queue_group SET next_seq = next_seq - 1 WHERE group_id = $1";

/// Leases the groups that have been ready longest. A group that still has a lease belonged to a worker that
/// died.
pub(super) const CLAIM: &str = "
    UPDATE queue_group
    SET visible_at = $1, lease = $2, losses = losses + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
    WHERE group_id IN (SELECT group_id FROM queue_group WHERE visible_at <= $3 ORDER BY visible_at LIMIT $4)
      AND NOT EXISTS (SELECT 1 FROM queue_pause)
    RETURNING group_id, first_seq, attempts, losses";

/// [`CLAIM`], by workers that do not wait for each other: each skips the groups that another is leasing.
pub(super) const CLAIM_ON_POSTGRES: &str = "
    UPDATE queue_group
    SET visible_at = $1, lease = $2, losses = losses + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
    WHERE group_id = ANY(ARRAY(SELECT group_id FROM queue_group WHERE visible_at <= $3
                               ORDER BY visible_at LIMIT $4 FOR UPDATE SKIP LOCKED))
      AND NOT EXISTS (SELECT 1 FROM queue_pause)
    RETURNING group_id, first_seq, attempts, losses";

/// Reads the given messages.
pub(super) const READ: &str = "
    SELECT m.message_id, m.body, m.sent_at, m.group_id
    FROM given JOIN queue_message m ON m.group_id = given.group_id AND m.seq = given.seq";

/// Extends a lease.
pub(super) const EXTEND: &str = "
    UPDATE queue_group SET visible_at = $1 WHERE group_id = $2 AND lease = $3";

/// Ends a lease: the message is received again from a given time on. A retry adds a failed attempt. A
/// deferral resets the losses, which count only in a row: otherwise a message that waits for hours would be
/// blamed for the death of every worker around it.
pub(super) const RELEASE: &str = "
    UPDATE queue_group SET visible_at = $1, attempts = attempts + $2, losses = losses * $3, lease = NULL
    WHERE group_id = $4 AND lease = $5";

/// Removes the groups with the given leases that have no message besides the leased one. No message can be
/// sent to them before the transaction ends.
pub(super) const REMOVE_LAST: &str = "
    DELETE FROM queue_group
    WHERE group_id IN (SELECT group_id FROM given) AND next_seq = first_seq + 1
      AND EXISTS (SELECT 1 FROM given WHERE given.group_id = queue_group.group_id
                                        AND given.lease = queue_group.lease)
    RETURNING group_id";

/// Removes the messages of groups that were removed.
pub(super) const REMOVE_MESSAGES: &str = "
    DELETE FROM queue_message WHERE group_id IN (SELECT group_id FROM given)";

/// Ends a lease and moves on to the group's next message.
pub(super) const ADVANCE: &str = "
    UPDATE queue_group SET first_seq = first_seq + 1, attempts = 0, losses = 0, visible_at = $1, lease = NULL
    WHERE group_id = $2 AND lease = $3
    RETURNING first_seq";

/// Removes a message that its group has moved past.
pub(super) const REMOVE: &str = "
    DELETE FROM queue_message WHERE group_id = $1 AND seq = $2";

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
            PRIORITIZE,
            PAUSE,
            RESUME,
            RESERVE_SEQS,
            STORE_ALL,
            REMOVE_LAST,
            REMOVE_MESSAGES,
        ] {
            let given = "WITH given (group_id, seq, message_id, body, sent_at, visible_at, lease) \
                         AS (VALUES ('g', 1, 'm', 'b', 1, 1, 'l'))";
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {given} {statement}"));
            for row in sqlx::query(explain).fetch_all(database.pool()).await.unwrap() {
                let step: String = row.get("detail");
                // There is at most one pause for each dependency, so a scan of the pauses is cheap.
                let grows = !step.contains("queue_pause")
                    && !step.contains("given")
                    && !step.contains("CONSTANT ROW");
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
