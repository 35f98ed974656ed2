-- A plan shows how much there is, where it lies and what was read.
EXPLAIN SELECT count(*) FROM history
EXPLAIN SELECT * FROM history
EXPLAIN SELECT event_id FROM history WHERE account_id = '222222222222'
EXPLAIN SELECT event_id FROM history WHERE event_time > '2026-11-20T19:00:00Z' ORDER BY event_time DESC LIMIT 10
EXPLAIN SELECT event_id FROM history WHERE log_offset = 1
EXPLAIN SELECT event_id FROM history WHERE user_name = 'secret-222222222222-3'
EXPLAIN SELECT min(account_id), max(account_id) FROM history
EXPLAIN SELECT account_id, count(*) FROM history GROUP BY 1
EXPLAIN SELECT count(*) FROM trails.everything
EXPLAIN SELECT count(*) FROM trails.writes a JOIN trails.everything b USING (event_id)
EXPLAIN SELECT count(*) FROM history a JOIN trails.writes b ON a.event_id = b.event_id JOIN trails."my-trail" c ON b.event_id = c.event_id
EXPLAIN SELECT count(*) FROM history a, trails.everything b, trails.writes c WHERE a.event_id = b.event_id AND b.event_id = c.event_id
EXPLAIN SELECT * FROM history WHERE user_name IN (SELECT user_name FROM trails.everything WHERE account_id = '222222222222')
EXPLAIN SELECT * FROM history h WHERE EXISTS (SELECT 1 FROM trails.everything e WHERE e.event_id = h.event_id)
EXPLAIN SELECT account_id FROM history UNION SELECT account_id FROM trails.everything
EXPLAIN SELECT account_id FROM history EXCEPT SELECT account_id FROM trails.writes
EXPLAIN SELECT row_number() OVER (PARTITION BY account_id ORDER BY event_time) FROM history
EXPLAIN SELECT 1 / length(user_agent) FROM history WHERE CAST(user_name AS INT) > 3
EXPLAIN SELECT count(*) FROM failures
EXPLAIN SELECT count(*) FROM quarantine
EXPLAIN SELECT * FROM queries
EXPLAIN SELECT * FROM information_schema.tables
EXPLAIN SELECT * FROM history WHERE ingest_date = '2026-11-21'
EXPLAIN SELECT * FROM history WHERE false
EXPLAIN SELECT * FROM history LIMIT 0
EXPLAIN SELECT (SELECT count(*) FROM history)
EXPLAIN SELECT 1
EXPLAIN VALUES (1)
EXPLAIN TABLE history
EXPLAIN history
EXPLAIN trails."b-only"
EXPLAIN SELECT * FROM trails."b-only" WHERE false
-- All its options: most add counts, files or times.
EXPLAIN ANALYZE SELECT count(*) FROM history
EXPLAIN ANALYSE SELECT count(*) FROM history
EXPLAIN VERBOSE SELECT count(*) FROM history
EXPLAIN ANALYZE VERBOSE SELECT count(*) FROM history
EXPLAIN VERBOSE ANALYZE SELECT count(*) FROM history
EXPLAIN (ANALYZE) SELECT count(*) FROM history
EXPLAIN (ANALYZE true, VERBOSE true) SELECT count(*) FROM history
EXPLAIN (ANALYZE false) SELECT count(*) FROM history
EXPLAIN (COSTS) SELECT count(*) FROM history
EXPLAIN (BUFFERS, ANALYZE) SELECT count(*) FROM history
EXPLAIN (SUMMARY) SELECT count(*) FROM history
EXPLAIN (WAL) SELECT count(*) FROM history
EXPLAIN (GENERIC_PLAN) SELECT count(*) FROM history WHERE account_id = $1
EXPLAIN (FORMAT JSON) SELECT count(*) FROM history
EXPLAIN (FORMAT YAML) SELECT count(*) FROM history
EXPLAIN FORMAT tree SELECT count(*) FROM history
EXPLAIN FORMAT indent SELECT count(*) FROM history
EXPLAIN FORMAT pgjson SELECT count(*) FROM history
EXPLAIN FORMAT graphviz SELECT count(*) FROM history
EXPLAIN FORMAT TRADITIONAL SELECT count(*) FROM history
EXPLAIN EXTENDED SELECT count(*) FROM history
EXPLAIN ESTIMATE SELECT count(*) FROM history
EXPLAIN QUERY PLAN SELECT count(*) FROM history
EXPLAIN LOGICAL SELECT count(*) FROM history
EXPLAIN PIPELINE SELECT count(*) FROM history
EXPLAIN EXPLAIN SELECT count(*) FROM history
EXPLAIN EXPLAIN ANALYZE SELECT count(*) FROM history
SELECT * FROM (EXPLAIN SELECT count(*) FROM history) x
EXPLAIN SELECT * FROM no_such_table
EXPLAIN SELECT no_such_column FROM history
EXPLAIN DESCRIBE history
EXPLAIN SHOW TABLES
EXPLAIN SET x = 1
EXPLAIN CREATE TABLE x AS SELECT * FROM history
EXPLAIN INSERT INTO history SELECT * FROM history
EXPLAIN COPY history TO '/tmp/x'
EXPLAIN EXECUTE p
EXPLAIN DECLARE c CURSOR FOR SELECT 1
EXPLAIN ANALYZE DELETE FROM history
EXPLAIN
