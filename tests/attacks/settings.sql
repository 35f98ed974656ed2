-- Settings of the engine, of PostgreSQL and of MySQL: to read them, to turn something on.
SET datafusion.catalog.location = '/'
SET datafusion.catalog.information_schema = true
SET datafusion.catalog.default_schema = 'trails'
SET datafusion.execution.enable_recursive_ctes = true
SET datafusion.execution.collect_statistics = true
SET datafusion.execution.parquet.pushdown_filters = false
SET datafusion.execution.batch_size = 1
SET datafusion.execution.target_partitions = 1000000
SET datafusion.execution.time_zone = 'Asia/Shanghai'
SET datafusion.optimizer.max_passes = 0
SET datafusion.optimizer.skip_failed_rules = true
SET datafusion.explain.show_statistics = true
SET datafusion.explain.analyze_level = 'dev'
SET datafusion.runtime.memory_limit = '100G'
SET datafusion.runtime.temp_directory = '/etc'
SET datafusion.runtime.max_temp_directory_size = '100T'
SET datafusion.sql_parser.recursion_limit = 1000000
SET datafusion.sql_parser.dialect = 'mysql'
SET LOCAL row_security = off
SET row_security TO off
SET search_path = trails
SET SESSION search_path TO pg_catalog
SET statement_timeout = 0
SET work_mem = '100GB'
SET ROLE postgres
SET SESSION AUTHORIZATION postgres
SET LOCAL SESSION AUTHORIZATION DEFAULT
SET session_user = '222222222222'
SET cairn.account = '222222222222'
SET account_id = '222222222222'
SET @account = '222222222222'
SET GLOBAL general_log = 'ON'
SET NAMES 'utf8'
SET TIME ZONE 'UTC'
SET TRANSACTION READ WRITE
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
SET CONSTRAINTS ALL DEFERRED
SET
RESET ALL
RESET row_security
RESET ROLE
RESET datafusion.execution.batch_size
SHOW ALL
SHOW datafusion.catalog.location
SHOW datafusion.runtime.temp_directory
SHOW search_path
SHOW server_version
SHOW is_superuser
SHOW config_file
SHOW data_directory
SHOW TIME ZONE
SHOW TRANSACTION ISOLATION LEVEL
SHOW VARIABLES
SHOW VARIABLES LIKE '%dir%'
SHOW STATUS
SHOW FUNCTIONS
SHOW FUNCTIONS LIKE '%file%'
SELECT current_setting('data_directory')
SELECT current_setting('row_security', true)
SELECT set_config('row_security', 'off', false)
SELECT set_config('cairn.account', '222222222222', true)
SELECT @@version, @@datadir
SELECT @@global.secure_file_priv
SELECT current_user
SELECT session_user
SELECT user
SELECT current_role
SELECT current_catalog
SELECT current_schema
SELECT current_schema()
SELECT current_schemas(true)
SELECT current_database()
SELECT version()
SELECT inet_server_addr()
SELECT pg_backend_pid()
USE trails
USE DATABASE other
USE ROLE admin
BEGIN
BEGIN; SET LOCAL row_security = off; SELECT count(*) FROM history; COMMIT
START TRANSACTION READ WRITE
COMMIT
ROLLBACK
SAVEPOINT s
ROLLBACK TO s
PREPARE TRANSACTION 'x'
PREPARE p AS SELECT * FROM history
PREPARE p (TEXT) AS SELECT * FROM history WHERE account_id = $1
PREPARE p AS DELETE FROM history
EXECUTE p
EXECUTE p('222222222222')
EXECUTE IMMEDIATE 'SELECT * FROM history'
EXECUTE p USING '222222222222'
DEALLOCATE p
DEALLOCATE ALL
DEALLOCATE PREPARE p
DECLARE c CURSOR FOR SELECT * FROM history
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM trails."b-only"
FETCH ALL FROM c
FETCH 10 c
MOVE c
CLOSE c
CLOSE ALL
SELECT count(*) FROM history SETTINGS max_threads = 1
SELECT /*+ NO_RLS */ count(*) FROM history
SELECT /*! count(*) FROM trails.everything */ 1
SELECT count(*) FROM history OPTION (RECOMPILE)
SELECT count(*) FROM history WITH (NOLOCK)
SELECT count(*) FROM history USE INDEX (account_id)
SELECT count(*) FROM history FINAL
SELECT count(*) FROM history PREWHERE account_id = '222222222222'
SELECT count(*) FROM history AT (TIMESTAMP => '2026-11-20')
SELECT count(*) FROM history BEFORE (STATEMENT => 'x')
