-- The tables of a current Attune release, as far as this package reads or writes them.
CREATE SCHEMA {schema};
CREATE TYPE {schema}.worker_type_enum AS ENUM ('local', 'remote', 'container');
CREATE TYPE {schema}.worker_role_enum AS ENUM ('action', 'sensor', 'hybrid');
CREATE TYPE {schema}.worker_status_enum AS ENUM ('active', 'inactive', 'busy', 'error');
CREATE TYPE {schema}.execution_status_enum AS ENUM ('requested', 'scheduling', 'scheduled', 'running', 'completed',
    'failed', 'canceling', 'cancelled', 'timeout', 'abandoned');
CREATE TABLE {schema}.worker (
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL,
    worker_type {schema}.worker_type_enum NOT NULL DEFAULT 'local',
    worker_role {schema}.worker_role_enum NOT NULL DEFAULT 'action',
    runtime BIGINT,
    host TEXT,
    port INTEGER,
    status {schema}.worker_status_enum NOT NULL DEFAULT 'inactive',
    capabilities JSONB,
    meta JSONB,
    last_heartbeat TIMESTAMPTZ,
    cordoned BOOLEAN NOT NULL DEFAULT FALSE,
    cordon_reason TEXT,
    cordoned_by TEXT,
    cordoned_at TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE {schema}.execution (
    id BIGSERIAL PRIMARY KEY,
    action BIGINT,
    action_ref TEXT NOT NULL,
    config JSONB,
    parent BIGINT,
    enforcement BIGINT,
    worker BIGINT,
    status {schema}.execution_status_enum NOT NULL DEFAULT 'requested',
    result JSONB,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at TIMESTAMPTZ
);
