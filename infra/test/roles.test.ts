/**
 * `lib/roles.sql` on a real PostgreSQL: TEST_DATABASE_URL names a server on which roles can be created
 * (`scripts/with-postgres`).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const server = process.env.TEST_DATABASE_URL;
const roles = readFileSync(new URL('../lib/roles.sql', import.meta.url), 'utf8');
const migrations = ['0001_initial.sql', '0002_protect_audit.postgres.sql'].map((file) =>
  readFileSync(new URL(`../../shared/database/migrations/${file}`, import.meta.url), 'utf8'),
);

/** The result of `sql`, run by `role` in a database. Throws if the statement fails. */
function query(database: string, sql: string, role?: string): string {
  assert.ok(server, 'TEST_DATABASE_URL is not set: run with scripts/with-postgres');
  const url = new URL(server);
  url.pathname = `/${database}`;
  const as = role ? `SET SESSION AUTHORIZATION ${role};` : '';
  return execFileSync('psql', [url.href, '-qtAX', '-v', 'ON_ERROR_STOP=1', '-c', as + sql], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

/** As on RDS: a master without superuser rights, and the role for members that sign in with tokens, which the master grants. */
function createDatabase(database: string): void {
  query(
    'postgres',
    `DO $$ BEGIN
       IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN CREATE ROLE rds_iam; END IF;
       IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'master') THEN CREATE ROLE master LOGIN CREATEROLE; END IF;
       IF current_setting('server_version_num')::int >= 160000 THEN
         EXECUTE 'GRANT rds_iam TO master WITH ADMIN TRUE, INHERIT FALSE';
       END IF;
     END $$`,
  );
  query('postgres', `CREATE DATABASE ${database} OWNER master`);
}

test("the functions' role changes rows of every table but no table", () => {
  const database = `roles_${process.pid}`;
  createDatabase(database);
  try {
    query(database, roles, 'master');
    query(database, 'CREATE TABLE lead (id TEXT PRIMARY KEY, counted SERIAL)', 'master');
    query(database, roles, 'master'); // idempotent

    const app = (sql: string) => query(database, sql, 'revenueflow_app');
    app("INSERT INTO lead (id) VALUES ('a')");
    app("UPDATE lead SET id = 'b'");
    assert.equal(app('SELECT id FROM lead'), 'b');
    app('DELETE FROM lead');
    for (const refused of [
      'DROP TABLE lead',
      'ALTER TABLE lead ADD more TEXT',
      'CREATE TABLE other (id TEXT)',
      'TRUNCATE lead',
      'CREATE ROLE other',
    ]) {
      assert.throws(() => app(refused), /permission denied|must be owner/, refused);
    }
    // A role's settings apply when it signs in, which this test does not do, so they are read from the
    // catalog.
    assert.equal(
      query(database, "SELECT array_to_string(rolconfig, ' ') FROM pg_roles WHERE rolname = 'revenueflow_app'"),
      'statement_timeout=20s idle_in_transaction_session_timeout=60s',
    );
    // A member of a member of rds_iam cannot sign in with its password. From PostgreSQL 16 on the creator of
    // a role is a member that may only grant it, and can neither use nor become it: docs/deploy.md has the
    // consequences on RDS.
    const has = (right: string) => query(database, `SELECT pg_has_role('master', 'revenueflow_app', '${right}')`);
    const version = Number(query(database, 'SHOW server_version_num'));
    assert.equal(has('USAGE'), 'f');
    assert.equal(has(version >= 160000 ? 'SET' : 'MEMBER'), 'f');
  } finally {
    query('postgres', `DROP DATABASE ${database}`);
  }
});

test("the functions' role appends to the audit trail, and neither changes nor deletes it", () => {
  const database = `audit_${process.pid}`;
  createDatabase(database);
  try {
    query(database, roles, 'master');
    for (const migration of migrations) query(database, migration, 'master');

    const app = (sql: string) => query(database, sql, 'revenueflow_app');
    const event = (lead: string, seq: number) =>
      `INSERT INTO audit_event (lead_id, seq, at, kind, detail, hash) VALUES ('${lead}', ${seq}, 1, 'accepted', '{}', 'h')`;
    app(
      `INSERT INTO lead (lead_id, email, campaign_id, content, status, revision, delivery_id, received_at, created_at, updated_at)
       VALUES ('kept', 'a', 'c', '{}', 'synced', 1, 'd', 1, 1, 1)`,
    );
    for (const insert of [event('kept', 1), event('retired', 1)]) app(insert);
    app(
      "INSERT INTO erased_lead (lead_id, email_hash, erased_at, audit_seq, audit_hash) VALUES ('erased', 'e', 1, 1, 'h')",
    );
    app(event('erased', 1));
    app("INSERT INTO audit_act (seq, at, kind, actor, detail, hash) VALUES (1, 1, 'crm_held', 'ann', '{}', 'h')");
    app("UPDATE audit_act_head SET seq = 1, hash = 'h'");
    for (const refused of [
      "UPDATE audit_event SET actor = 'bob'",
      "UPDATE audit_event SET detail = '{}'",
      "UPDATE audit_event SET detail = '{}', redacted = 1",
      `UPDATE audit_event SET detail = '{"sha256":"${'0'.repeat(64)}"}', redacted = 1`,
      "DELETE FROM audit_event WHERE lead_id = 'kept'",
      "DELETE FROM audit_event WHERE lead_id = 'erased'",
      'TRUNCATE audit_event',
      "UPDATE audit_act SET actor = 'bob'",
      'DELETE FROM audit_act',
      'TRUNCATE audit_act',
      'ALTER TABLE audit_event DISABLE TRIGGER USER',
      'DROP TRIGGER audit_event_delete ON audit_event',
      'DROP FUNCTION audit_event_delete CASCADE',
      "SET session_replication_role = 'replica'",
      // A table of the same name that hides the leads from the trigger.
      'CREATE TEMPORARY TABLE lead (lead_id TEXT)',
    ]) {
      assert.throws(() => app(refused), /permission denied|must be owner|only appended to/, refused);
    }
    // An erasure and the end of a lead's retention.
    app(
      `UPDATE audit_event SET redacted = 1,
         detail = format('{"sha256":"%s"}', encode(sha256(convert_to(detail, 'UTF8')), 'hex')) WHERE lead_id = 'kept'`,
    );
    assert.throws(() => app("UPDATE audit_event SET detail = '{}', redacted = 0"), /only appended to/);
    app("DELETE FROM audit_event WHERE lead_id = 'retired'");
    assert.equal(app('SELECT COUNT(*) FROM audit_event'), '2');
  } finally {
    query('postgres', `DROP DATABASE ${database}`);
  }
});
