-- What the tables that tell of tables tell.
SHOW TABLES
SHOW TABLES FROM trails
SHOW TABLES FROM public
SHOW TABLES IN information_schema
SHOW TABLES FROM pg_catalog
SHOW TABLES LIKE '%only%'
SHOW TABLES LIKE '%'
SHOW TABLES LIKE 'b-only'
SHOW FULL TABLES
SHOW EXTENDED TABLES
SHOW TABLES WHERE table_name = 'b-only'
SHOW COLUMNS FROM history
SHOW COLUMNS FROM trails.everything
SHOW COLUMNS FROM trails."b-only"
SHOW COLUMNS FROM trails."never-made"
SHOW COLUMNS FROM history LIKE '%account%'
SHOW FIELDS FROM history
DESCRIBE history
DESC history
DESCRIBE trails.writes
DESCRIBE trails.everything
DESCRIBE trails."b-only"
DESCRIBE TABLE trails."b-only"
DESCRIBE "history; SELECT 1"
DESCRIBE SELECT * FROM history
DESCRIBE quarantine
DESCRIBE queries
DESCRIBE failures
DESCRIBE information_schema.tables
SHOW CREATE TABLE trails."b-only"
SHOW CREATE VIEW failures
SHOW SCHEMAS
SHOW DATABASES
SHOW CATALOGS
SHOW VIEWS
SHOW INDEX FROM history
SHOW KEYS FROM history
SHOW TABLE STATUS
SHOW PROCESSLIST
SHOW GRANTS
SHOW ENGINES
SHOW WARNINGS
SHOW COLLATION
SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2
SELECT count(*) FROM information_schema.tables WHERE table_name = 'b-only'
SELECT count(*) FROM information_schema.tables WHERE table_name ILIKE '%EVERYTHING%'
SELECT table_name, count(*) FROM information_schema.columns GROUP BY 1 ORDER BY 1
SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'history' ORDER BY ordinal_position
SELECT count(*) FROM information_schema.columns WHERE table_schema = 'trails' AND table_name NOT IN ('Writes', 'my-trail')
SELECT * FROM information_schema.views ORDER BY 3
SELECT * FROM information_schema.schemata ORDER BY 2
SELECT * FROM information_schema.df_settings
SELECT * FROM information_schema.routines
SELECT * FROM information_schema.parameters
SELECT * FROM information_schema.table_constraints
SELECT * FROM information_schema.role_table_grants
SELECT * FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'b-only'
SELECT * FROM "information_schema"."TABLES"
SELECT * FROM cairn.information_schema.tables WHERE table_schema = 'trails' ORDER BY table_name
SELECT * FROM other.information_schema.tables
SELECT t.table_name FROM information_schema.tables t WHERE 1 / (CASE WHEN t.table_name = 'b-only' THEN 0 ELSE 1 END) = 1 ORDER BY 1
SELECT count(*) FROM information_schema.tables a CROSS JOIN information_schema.columns b
SELECT c.table_name FROM information_schema.columns c LEFT JOIN information_schema.tables t ON c.table_name = t.table_name WHERE t.table_name IS NULL
-- PostgreSQL's catalog, where a door brings one.
SELECT relname FROM pg_catalog.pg_class ORDER BY 1
SELECT relname, reltuples, relpages FROM pg_catalog.pg_class ORDER BY 1
SELECT relname FROM pg_class WHERE relname LIKE '%only%'
SELECT nspname FROM pg_catalog.pg_namespace ORDER BY 1
SELECT attname FROM pg_catalog.pg_attribute ORDER BY 1 LIMIT 5
SELECT * FROM pg_catalog.pg_tables ORDER BY 1, 2
SELECT * FROM pg_catalog.pg_views
SELECT * FROM pg_catalog.pg_matviews
SELECT * FROM pg_catalog.pg_stats
SELECT * FROM pg_stats WHERE tablename = 'history'
SELECT most_common_vals FROM pg_catalog.pg_stats WHERE attname = 'account_id'
SELECT * FROM pg_catalog.pg_statistic
SELECT * FROM pg_catalog.pg_stat_activity
SELECT * FROM pg_catalog.pg_stat_user_tables
SELECT * FROM pg_catalog.pg_stat_statements
SELECT * FROM pg_catalog.pg_settings
SELECT * FROM pg_catalog.pg_file_settings
SELECT * FROM pg_catalog.pg_hba_file_rules
SELECT * FROM pg_catalog.pg_authid
SELECT * FROM pg_catalog.pg_shadow
SELECT * FROM pg_catalog.pg_user
SELECT * FROM pg_catalog.pg_roles
SELECT * FROM pg_catalog.pg_locks
SELECT * FROM pg_catalog.pg_prepared_statements
SELECT * FROM pg_catalog.pg_cursors
SELECT * FROM pg_catalog.pg_largeobject
SELECT 'trails."b-only"'::regclass
SELECT 'history'::regclass::oid
SELECT to_regclass('trails."b-only"')
SELECT to_regclass('trails."b-only"') IS NULL
SELECT pg_relation_size('history')
SELECT pg_total_relation_size('trails.everything')
SELECT has_table_privilege('trails."b-only"', 'select')
SELECT has_table_privilege('111111111111', 'history', 'insert')
SELECT pg_get_viewdef('failures')
SELECT obj_description('history'::regclass)
SELECT col_description(1, 1)
SELECT pg_table_is_visible(1)
-- SQLite's, MySQL's, DuckDB's, ClickHouse's and the engine's own.
SELECT * FROM sqlite_master
SELECT * FROM mysql.user
SELECT * FROM duckdb_tables()
SELECT * FROM system.parts
SELECT * FROM sys.objects
SELECT * FROM INFORMATION_SCHEMA.PARTITIONS
SELECT * FROM "history$partitions"
SELECT * FROM "history$files"
SELECT * FROM history.files
SELECT * FROM metadata_cache()
SELECT * FROM statistics_cache()
SELECT * FROM list_files_cache()
SELECT * FROM parquet_metadata('part-0000.parquet')
SELECT * FROM df_settings
-- The system's own tables and views: scoped like what they are made of.
SELECT * FROM queries
SELECT count(*) FROM queries WHERE who <> 'auditor'
SELECT * FROM failures WHERE account = '222222222222'
SELECT count(*), min(account), max(account) FROM failures
SELECT count(DISTINCT who) FROM failures
SELECT count(*) FROM failures WHERE 10 / length(who) > 0
SELECT count(*) FROM failures f JOIN history h ON f.at = h.event_time
SELECT account, count(*) OVER (PARTITION BY account) AS n FROM failures ORDER BY at LIMIT 2
SELECT count(*) FROM (SELECT * FROM failures UNION ALL SELECT * FROM failures) x
WITH failures AS (SELECT * FROM failures) SELECT count(*) FROM failures
SELECT count(*) FROM failures a JOIN failures b ON a.account <> b.account
SELECT * FROM accounts
SELECT * FROM commits
SELECT * FROM checkpoints
SELECT * FROM public.queries
SELECT * FROM cairn.public.failures ORDER BY at LIMIT 1
SELECT count(*) FROM quarantine
SELECT account_id FROM quarantine ORDER BY 1
SELECT count(*) FROM quarantine WHERE account_id IS NULL
SELECT count(*) FROM quarantine WHERE account_id IS DISTINCT FROM '111111111111'
SELECT max(detail), min(raw_base64) FROM quarantine
SELECT count(*) FROM quarantine WHERE 1 / (CASE WHEN account_id IS NULL THEN 0 ELSE 1 END) = 1
