-- A name for a query; names that shadow; names used twice.
WITH h AS (SELECT * FROM history) SELECT count(*) FROM h
WITH h AS (SELECT * FROM history) SELECT count(*) FROM h a JOIN h b USING (event_id)
WITH history AS (SELECT * FROM history) SELECT count(*), min(account_id) FROM history
WITH history AS (SELECT * FROM trails.everything) SELECT count(*), max(account_id) FROM history
WITH events AS (SELECT '222222222222' AS account_id) SELECT h.event_id FROM history h JOIN events e ON h.account_id = e.account_id
WITH "public" AS (SELECT * FROM history WHERE account_id = '222222222222') SELECT count(*) FROM "public"
WITH "cairn.public.history" AS (SELECT 1 AS n) SELECT * FROM "cairn.public.history"
WITH a AS (SELECT account_id FROM history), b AS (SELECT account_id FROM a WHERE account_id > '2'), c AS (SELECT * FROM b) SELECT count(*) FROM c
WITH a AS (WITH b AS (WITH c AS (SELECT * FROM history) SELECT * FROM c) SELECT * FROM b) SELECT count(*) FROM a
WITH a AS (SELECT * FROM history), a2 AS (SELECT * FROM a UNION ALL SELECT * FROM a) SELECT count(*) FROM a2
WITH mine AS (SELECT DISTINCT account_id FROM history) SELECT count(*) FROM history WHERE account_id NOT IN (SELECT account_id FROM mine)
WITH x(account) AS (SELECT account_id FROM history) SELECT account, count(*) FROM x GROUP BY account ORDER BY 1
WITH x(account_id) AS (VALUES ('222222222222'), ('5333333333333333')) SELECT count(*) FROM history JOIN x USING (account_id)
WITH t AS (SELECT account_id, row_number() OVER (PARTITION BY account_id ORDER BY event_time) AS r FROM history) SELECT * FROM t WHERE r = 1 ORDER BY 1
WITH a AS (SELECT max(event_time) AS m FROM history) SELECT event_id FROM history, a WHERE event_time = m
WITH a AS MATERIALIZED (SELECT * FROM history) SELECT count(*) FROM a
WITH a AS NOT MATERIALIZED (SELECT * FROM history) SELECT count(*) FROM a
WITH unused AS (SELECT 1 / 0 FROM history WHERE account_id = '222222222222') SELECT 1
WITH unused AS (SELECT * FROM no_such_table) SELECT 1
WITH a AS (SELECT * FROM b), b AS (SELECT * FROM history) SELECT count(*) FROM a
WITH a AS (SELECT * FROM a) SELECT count(*) FROM a
WITH h AS (TABLE history) SELECT count(*) FROM h
WITH x AS (SELECT 'history' AS t) SELECT * FROM x
WITH x AS (EXPLAIN SELECT * FROM history) SELECT * FROM x
WITH x AS (DELETE FROM history RETURNING *) SELECT * FROM x
WITH x AS (UPDATE history SET account_id = '111111111111' RETURNING *) SELECT * FROM x
WITH x AS (SELECT * FROM history) INSERT INTO history SELECT * FROM x
WITH x AS (SELECT * FROM history) DELETE FROM history WHERE event_id IN (SELECT event_id FROM x)
-- Recursion never ends where nobody ends it.
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SELECT count(*) FROM t
WITH RECURSIVE t AS (SELECT account_id FROM history UNION SELECT account_id FROM t) SELECT count(*) FROM t
WITH RECURSIVE history AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM history) SELECT * FROM history LIMIT 1
SELECT * FROM (WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t) x LIMIT 1
SELECT (WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t)
SELECT count(*) FROM history WHERE log_offset IN (WITH RECURSIVE t AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM t) SELECT n FROM t)
EXPLAIN WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t
