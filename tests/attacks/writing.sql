-- Nothing but questions. Some of these also read.
COPY history TO '/tmp/stolen.csv'
COPY history TO 'file:///tmp/stolen.parquet' STORED AS PARQUET
COPY (SELECT * FROM history) TO 's3://elsewhere/stolen.parquet'
COPY (SELECT * FROM history) TO 'http://127.0.0.1:1/x.json'
COPY history (account_id) TO STDOUT
COPY (SELECT account_id FROM trails."b-only") TO STDOUT
COPY (SELECT 1) TO PROGRAM 'id > /tmp/x'
COPY history FROM '/etc/passwd'
COPY history FROM PROGRAM 'cat /etc/passwd'
COPY history FROM STDIN
COPY (DELETE FROM history RETURNING *) TO STDOUT
COPY INTO history FROM 's3://elsewhere/x'
UNLOAD (SELECT * FROM history) TO 's3://elsewhere/x'
CREATE TABLE x AS SELECT * FROM trails."b-only"
CREATE TABLE IF NOT EXISTS history (x INT)
CREATE TABLE public.history2 (x INT)
CREATE TEMP TABLE x AS SELECT * FROM history
CREATE TEMPORARY VIEW x AS SELECT * FROM history
CREATE VIEW history AS SELECT 1
CREATE OR REPLACE VIEW history AS SELECT '222222222222' AS account_id
CREATE MATERIALIZED VIEW x AS SELECT * FROM history
CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'
CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'cairn-store://history/'
CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'cairn-store-history/part-0000.parquet'
CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'http://169.254.169.254/latest/meta-data/'
CREATE EXTERNAL TABLE history STORED AS JSON LOCATION '/proc/self/environ'
CREATE UNBOUNDED EXTERNAL TABLE x STORED AS CSV LOCATION '/dev/zero'
CREATE EXTERNAL TABLE IF NOT EXISTS cairn.public.x STORED AS AVRO LOCATION 's3://elsewhere/'
CREATE FOREIGN TABLE x (y INT) SERVER z
CREATE SERVER z FOREIGN DATA WRAPPER postgres_fdw
CREATE FUNCTION f(x TEXT) RETURNS TEXT LANGUAGE SQL AS 'SELECT raw FROM history'
CREATE FUNCTION f(DOUBLE) RETURNS DOUBLE RETURN $1
CREATE OR REPLACE FUNCTION leak(TEXT) RETURNS BOOL COST 0.0000001 RETURN true
CREATE AGGREGATE a (x INT) (SFUNC = f, STYPE = INT)
CREATE OPERATOR <<< (PROCEDURE = f, LEFTARG = TEXT, RIGHTARG = TEXT)
CREATE SCHEMA trails2
CREATE DATABASE x
CREATE ROLE x SUPERUSER
CREATE USER x PASSWORD 'y'
CREATE EXTENSION dblink
CREATE INDEX i ON history (account_id)
CREATE TRIGGER t BEFORE SELECT ON history EXECUTE FUNCTION f()
CREATE POLICY p ON history USING (true)
CREATE RULE r AS ON SELECT TO history DO INSTEAD SELECT 1
CREATE SEQUENCE s
CREATE TYPE t AS (x INT)
CREATE SECRET (TYPE s3, KEY_ID 'x')
ALTER TABLE history DISABLE ROW LEVEL SECURITY
ALTER TABLE history RENAME TO h
ALTER TABLE history ADD COLUMN x INT
ALTER VIEW failures AS SELECT * FROM history
ALTER ROLE auditor SUPERUSER
ALTER SYSTEM SET x = 1
DROP TABLE history
DROP TABLE IF EXISTS trails."b-only"
DROP VIEW failures
DROP SCHEMA trails CASCADE
DROP FUNCTION length
DROP POLICY p ON history
TRUNCATE history
TRUNCATE TABLE trails.writes CASCADE
INSERT INTO history SELECT * FROM history
INSERT INTO history (event_id, account_id) VALUES ('x', '222222222222')
INSERT INTO queries VALUES ('x') RETURNING *
INSERT OVERWRITE history SELECT * FROM history
INSERT INTO history TABLE trails.everything
UPDATE history SET account_id = '111111111111' WHERE account_id = '222222222222'
UPDATE history SET account_id = account_id RETURNING raw
DELETE FROM history WHERE account_id = '222222222222'
DELETE FROM trails.writes
DELETE FROM history USING trails.everything WHERE true RETURNING *
MERGE INTO history h USING trails.everything t ON h.event_id = t.event_id WHEN MATCHED THEN UPDATE SET account_id = '1'
REPLACE INTO history VALUES ('x')
SELECT * INTO x FROM history
SELECT * INTO TEMP x FROM history
SELECT * FROM history FOR UPDATE
SELECT * FROM history FOR SHARE NOWAIT
SELECT * FROM history h FOR UPDATE OF h SKIP LOCKED
LOCK TABLE history
GRANT SELECT ON trails."b-only" TO auditor
REVOKE ALL ON history FROM public
COMMENT ON TABLE history IS 'x'
SECURITY LABEL ON TABLE history IS 'x'
ANALYZE history
ANALYZE TABLE history COMPUTE STATISTICS
VACUUM FULL history
OPTIMIZE TABLE history
MSCK REPAIR TABLE history
REFRESH MATERIALIZED VIEW x
REINDEX TABLE history
CLUSTER history
ATTACH DATABASE '/etc/passwd' AS x
ATTACH 'postgres://127.0.0.1/' AS x
DETACH cairn
INSTALL httpfs
LOAD '/tmp/x.so'
IMPORT FOREIGN SCHEMA public FROM SERVER x INTO public
EXPORT DATABASE '/tmp/x'
CALL system('id')
DO $$ BEGIN RAISE NOTICE 'x'; END $$
LISTEN x
NOTIFY x, 'y'
KILL 1
SHUTDOWN
CHECKPOINT
CACHE TABLE history
UNCACHE TABLE history
PRAGMA table_info('history')
DISCARD ALL
SELECT 1; SELECT * FROM trails."b-only"
SELECT 1; DROP TABLE history
SELECT 1 /* ; */; /* x */ SELECT 2
SELECT count(*) FROM history; -- SELECT 2
SELECT 1 -- ; DROP TABLE history
SELECT 1;;
;SELECT 1
;
/* nothing */
SELECT
FROM history
FROM history SELECT account_id
(SELECT count(*) FROM history)
((SELECT 1))
TABLE history LIMIT 0
SELECT ALL count(*) FROM history
SELECT count(*) history
SELECT TOP 1 event_id FROM history ORDER BY event_time
SELECT count(*) FROM history WHERE $1 = account_id
SELECT count(*) FROM history WHERE account_id = ?
SELECT count(*) FROM history WHERE account_id = :account
SELECT count(*) FROM history WHERE account_id = @account
