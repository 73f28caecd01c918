"""Attune's tables as three releases have them: columns, enums, constraints and triggers that the toolkit meets.

Run one with `Server.database(JANUARY)`; a script names its schema as `{schema}`.
"""

from __future__ import annotations

_COMMON = """
CREATE SCHEMA {schema};
CREATE TYPE {schema}.worker_type_enum AS ENUM ('local', 'remote', 'container');
CREATE TYPE {schema}.worker_status_enum AS ENUM ('active', 'inactive', 'busy', 'error');
CREATE TYPE {schema}.execution_status_enum AS ENUM ('requested', 'scheduling', 'scheduled', 'running', 'completed',
    'failed', 'canceling', 'cancelled', 'timeout', 'abandoned');
CREATE FUNCTION {schema}.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated := now();
    RETURN NEW;
END $$;
CREATE TABLE {schema}.runtime (id BIGSERIAL PRIMARY KEY, ref TEXT NOT NULL UNIQUE);
CREATE TABLE {schema}.identity (id BIGSERIAL PRIMARY KEY, login TEXT NOT NULL UNIQUE);
"""

_TOUCHED = """
CREATE TRIGGER worker_touched BEFORE UPDATE ON {schema}.worker FOR EACH ROW EXECUTE FUNCTION {schema}.touch();
CREATE TRIGGER execution_touched BEFORE UPDATE ON {schema}.execution FOR EACH ROW EXECUTE FUNCTION {schema}.touch();
"""

# A name may occur twice, a status may be unknown and is inactive by default, executions know no worker.
JANUARY = (
    _COMMON
    + """
CREATE TABLE {schema}.worker (
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL,
    worker_type {schema}.worker_type_enum NOT NULL,
    runtime BIGINT REFERENCES {schema}.runtime (id),
    host TEXT,
    port INTEGER,
    status {schema}.worker_status_enum DEFAULT 'inactive',
    capabilities JSONB,
    meta JSONB,
    last_heartbeat TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE {schema}.execution (
    id BIGSERIAL PRIMARY KEY,
    action BIGINT,
    action_ref TEXT NOT NULL,
    config JSONB,
    parent BIGINT REFERENCES {schema}.execution (id),
    enforcement BIGINT,
    executor BIGINT REFERENCES {schema}.identity (id),
    status {schema}.execution_status_enum NOT NULL DEFAULT 'requested',
    result JSONB,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now()
);
"""
    + _TOUCHED
)

_WORKER_AND_EXECUTION = """
CREATE TYPE {schema}.worker_role_enum AS ENUM ('action', 'sensor'{more_roles});
CREATE TABLE {schema}.worker (
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    worker_type {schema}.worker_type_enum NOT NULL,
    worker_role {schema}.worker_role_enum NOT NULL,
    runtime BIGINT REFERENCES {schema}.runtime (id) ON DELETE SET NULL,
    host TEXT,
    port INTEGER,
    status {schema}.worker_status_enum NOT NULL DEFAULT 'active',
    capabilities JSONB,
    meta JSONB,
    last_heartbeat TIMESTAMPTZ,
    {cordon}
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE {schema}.execution (
    id BIGSERIAL PRIMARY KEY,
    action BIGINT,
    action_ref TEXT NOT NULL,
    config JSONB,
    parent BIGINT REFERENCES {schema}.execution (id) ON DELETE SET NULL,
    enforcement BIGINT,
    executor BIGINT REFERENCES {schema}.identity (id) ON DELETE SET NULL,
    worker BIGINT REFERENCES {schema}.worker (id) ON DELETE SET NULL,
    status {schema}.execution_status_enum NOT NULL DEFAULT 'requested',
    result JSONB,
    started_at TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now()
);
"""

# From 2026-02-05 on: a name is unique, a worker has a role, an execution knows its worker.
FEBRUARY = (
    _COMMON + _WORKER_AND_EXECUTION.replace("{more_roles}", ", 'hybrid'").replace("    {cordon}\n", "") + _TOUCHED
)

_CORDON = """cordoned BOOLEAN NOT NULL DEFAULT FALSE,
    cordon_reason TEXT,
    cordoned_by BIGINT REFERENCES {schema}.identity (id) ON DELETE SET NULL,
    cordoned_at TIMESTAMPTZ,"""

# 0.5 and 0.6: cordoned workers, the history that a trigger writes as the caller, executions parked by a policy.
RELEASE_0_6 = (
    _COMMON
    + _WORKER_AND_EXECUTION.replace("{more_roles}", "").replace("{cordon}", _CORDON)
    + _TOUCHED
    + """
CREATE TABLE {schema}.worker_history (
    time TIMESTAMPTZ NOT NULL DEFAULT now(),
    operation TEXT NOT NULL,
    entity_id BIGINT NOT NULL,
    entity_ref TEXT,
    changed_fields TEXT[] NOT NULL DEFAULT '{{}}',
    old_values JSONB,
    new_values JSONB
);
CREATE FUNCTION {schema}.note_worker() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    beside TEXT[] := ARRAY['last_heartbeat', 'updated'];
    before JSONB;
    after JSONB;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.worker_history (operation, entity_id, entity_ref, old_values)
            VALUES (TG_OP, OLD.id, OLD.name, to_jsonb(OLD));
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.worker_history (operation, entity_id, entity_ref, new_values)
            VALUES (TG_OP, NEW.id, NEW.name, to_jsonb(NEW) - beside);
        RETURN NEW;
    END IF;
    before := to_jsonb(OLD) - beside;
    after := to_jsonb(NEW) - beside;
    IF before IS DISTINCT FROM after THEN
        INSERT INTO {schema}.worker_history (operation, entity_id, entity_ref, changed_fields, old_values, new_values)
            VALUES (TG_OP, NEW.id, NEW.name,
                    ARRAY(SELECT key FROM jsonb_each(after) WHERE value IS DISTINCT FROM before -> key), before, after);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER worker_noted AFTER INSERT OR UPDATE OR DELETE ON {schema}.worker
    FOR EACH ROW EXECUTE FUNCTION {schema}.note_worker();
CREATE TABLE {schema}.execution_admission_state (
    id BIGSERIAL PRIMARY KEY,
    action_id BIGINT NOT NULL,
    group_key TEXT,
    max_concurrent INTEGER NOT NULL
);
CREATE TABLE {schema}.execution_admission_entry (
    id BIGSERIAL PRIMARY KEY,
    state_id BIGINT NOT NULL REFERENCES {schema}.execution_admission_state (id) ON DELETE CASCADE,
    execution_id BIGINT NOT NULL UNIQUE REFERENCES {schema}.execution (id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('active', 'queued')),
    queue_order BIGINT NOT NULL,
    enqueued_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    activated_at TIMESTAMPTZ
);
"""
)

RELEASES = {"january": JANUARY, "february": FEBRUARY, "0.6": RELEASE_0_6}
