-- The role of the functions, which signs in with IAM tokens. The master runs this at every deployment; it is
-- idempotent. The master is not granted the role: a member of a member of rds_iam can no longer sign in with
-- its password. From PostgreSQL 16 on the creator of a role is a member anyway, without the right to use or
-- become it (docs/deploy.md, the database's roles).
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'revenueflow_app') THEN
    CREATE ROLE revenueflow_app LOGIN;
  END IF;
  GRANT rds_iam TO revenueflow_app;
  -- No statement of a function takes longer: one that does has lost its client, and holds locks that others
  -- wait for.
  ALTER ROLE revenueflow_app SET statement_timeout = '20s';
  ALTER ROLE revenueflow_app SET idle_in_transaction_session_timeout = '60s';
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO revenueflow_app', current_database());
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  GRANT USAGE ON SCHEMA public TO revenueflow_app;
  -- The rows of all tables that the master creates later, in migrations.
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO revenueflow_app;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO revenueflow_app;
END $$;
