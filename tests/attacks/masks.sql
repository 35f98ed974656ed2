-- For principals from whom columns are withheld as well: the value itself.
SELECT source_ip FROM history ORDER BY event_time LIMIT 3
SELECT DISTINCT source_ip FROM history
SELECT count(source_ip), count(*), count(DISTINCT source_ip) FROM history
SELECT min(source_ip), max(source_ip) FROM history
SELECT raw FROM history ORDER BY event_time LIMIT 3
SELECT count(raw), min(raw), max(length(raw)) FROM history
SELECT * FROM history ORDER BY event_time LIMIT 2
SELECT history.* FROM history ORDER BY event_time LIMIT 2
SELECT * EXCEPT (event_id) FROM history ORDER BY event_time LIMIT 2
SELECT user_name, user_identity FROM history ORDER BY event_time LIMIT 3
SELECT request_parameters FROM history ORDER BY event_time LIMIT 3
SELECT source_ip, raw, user_name FROM trails.everything ORDER BY event_time LIMIT 2
SELECT source_ip FROM events ORDER BY event_time LIMIT 2
SELECT raw_base64, detail FROM quarantine
SELECT arrow_typeof(source_ip), arrow_typeof(raw), source_ip IS NULL FROM history LIMIT 1
-- As a predicate: filters and statistics of the column would answer it.
SELECT count(*) FROM history WHERE source_ip = '10.0.0.4'
SELECT count(*) FROM history WHERE source_ip = '10.0.0.99'
SELECT count(*) FROM history WHERE source_ip <> '10.0.0.4'
SELECT count(*) FROM history WHERE source_ip IS NULL
SELECT count(*) FROM history WHERE source_ip IS NOT NULL
SELECT count(*) FROM history WHERE source_ip >= '10' AND source_ip < '11'
SELECT count(*) FROM history WHERE source_ip BETWEEN '10' AND '11'
SELECT count(*) FROM history WHERE source_ip IN ('10.0.0.0', '10.0.0.4', '10.0.0.8')
SELECT count(*) FROM history WHERE source_ip NOT IN ('10.0.0.0')
SELECT count(*) FROM history WHERE source_ip LIKE '10.%'
SELECT count(*) FROM history WHERE source_ip LIKE '10.0.0.4%' OR event_id = 'id-4'
SELECT count(*) FROM history WHERE NOT (source_ip = '10.0.0.4')
SELECT count(*) FROM history WHERE source_ip IS DISTINCT FROM '10.0.0.4'
SELECT count(*) FROM history WHERE source_ip IS NOT DISTINCT FROM NULL
SELECT count(*) FROM history WHERE starts_with(source_ip, '10')
SELECT count(*) FROM history WHERE source_ip ~ '^10'
SELECT count(*) FROM history WHERE user_name = '3'
SELECT count(*) FROM history WHERE user_name = '3' AND event_name = 'CreateUser'
SELECT count(*) FROM history WHERE raw LIKE '%id-4%'
SELECT count(*) FROM history WHERE json_get_str(raw, 'eventId') = 'id-4'
SELECT count(*) FROM history WHERE request_parameters->>'UserName' = 'u4'
SELECT count(*) FROM history WHERE json_contains(user_identity, 'userName')
SELECT event_id FROM history WHERE source_ip = '10.0.0.4' ORDER BY event_time DESC LIMIT 3
SELECT event_id FROM history WHERE user_name = '4' ORDER BY event_time DESC LIMIT 3
SELECT event_id FROM history WHERE event_time > '2026-11-20T10:00:00Z' AND source_ip = '10.0.0.4'
SELECT event_id FROM history WHERE account_id = '111111111111' AND source_ip = '10.0.0.4' ORDER BY 1
-- As an order: what comes first tells what is least.
SELECT event_id FROM history ORDER BY source_ip, event_id LIMIT 5
SELECT event_id FROM history ORDER BY source_ip DESC, event_id LIMIT 5
SELECT event_id FROM history ORDER BY user_name DESC NULLS LAST, event_id LIMIT 5
SELECT event_id FROM history ORDER BY length(raw), event_id LIMIT 5
SELECT event_id FROM history ORDER BY source_ip = '10.0.0.4' DESC, event_id LIMIT 5
SELECT event_id, row_number() OVER (ORDER BY source_ip, event_id) AS n FROM history ORDER BY n LIMIT 5
SELECT event_id, rank() OVER (ORDER BY source_ip) AS n FROM history ORDER BY event_id LIMIT 5
SELECT event_id, lag(source_ip) OVER (ORDER BY event_time) AS n FROM history ORDER BY event_id LIMIT 5
SELECT DISTINCT first_value(event_id) OVER (ORDER BY source_ip, event_id) FROM history
SELECT DISTINCT max(source_ip) OVER () FROM history
-- As a key: of a group, a join, a set.
SELECT source_ip, count(*) FROM history GROUP BY source_ip ORDER BY 2 DESC, 1 LIMIT 3
SELECT count(*) FROM history GROUP BY source_ip ORDER BY 1 DESC LIMIT 3
SELECT length(source_ip), count(*) FROM history GROUP BY 1
SELECT md5(source_ip), count(*) FROM history GROUP BY 1
SELECT source_ip, user_name, count(*) FROM history GROUP BY ROLLUP (source_ip, user_name) ORDER BY 3, 1, 2
SELECT count(*) FROM history a JOIN history b ON a.source_ip = b.source_ip
SELECT count(*) FROM history a JOIN history b ON a.source_ip IS NOT DISTINCT FROM b.source_ip
SELECT count(*) FROM history a LEFT JOIN trails.everything b ON a.source_ip = b.source_ip AND a.event_id = b.event_id WHERE b.event_id IS NULL
SELECT count(*) FROM history JOIN (VALUES ('10.0.0.4')) v(ip) ON source_ip = v.ip
SELECT v.ip FROM (VALUES ('10.0.0.4'), ('10.0.0.5')) v(ip) WHERE EXISTS (SELECT 1 FROM history h WHERE h.source_ip = v.ip)
SELECT v.ip FROM (VALUES ('10.0.0.4'), ('x')) v(ip) WHERE v.ip NOT IN (SELECT source_ip FROM history WHERE source_ip IS NOT NULL)
SELECT '10.0.0.4' IN (SELECT source_ip FROM history) AS there
SELECT source_ip FROM history UNION SELECT '10.0.0.4' ORDER BY 1
SELECT source_ip FROM history INTERSECT SELECT '10.0.0.4'
SELECT '10.0.0.4' EXCEPT SELECT source_ip FROM history
SELECT count(*) FROM (SELECT source_ip FROM history EXCEPT SELECT source_ip FROM trails.everything) x
SELECT h.event_id, l.n FROM history h, LATERAL (SELECT count(*) AS n FROM history i WHERE i.source_ip = h.source_ip) l ORDER BY h.event_time LIMIT 3
SELECT string_agg(source_ip, ',' ORDER BY event_time) FROM history
SELECT array_agg(DISTINCT source_ip ORDER BY source_ip) FROM history
SELECT first_value(source_ip ORDER BY event_time), approx_distinct(source_ip) FROM history
SELECT count(*) FILTER (WHERE source_ip = '10.0.0.4') FROM history
SELECT bool_or(source_ip = '10.0.0.4') FROM history
SELECT count(DISTINCT (source_ip, raw)) FROM history
SELECT coalesce(source_ip, raw, user_name, 'nothing'), count(*) FROM history GROUP BY 1
SELECT struct(source_ip, raw) FROM history ORDER BY event_time LIMIT 1
-- As an oracle by failing.
SELECT count(*) FROM history WHERE 1 / (CASE WHEN source_ip = '10.0.0.4' THEN 0 ELSE 1 END) = 1
SELECT count(CAST(source_ip AS INT)) FROM history
SELECT sum(CAST(user_name AS INT)) FROM history
SELECT count(*) FROM history WHERE CAST(raw AS INT) > 0
SELECT 1 / length(user_agent) FROM history ORDER BY event_time LIMIT 1
SELECT count(*) FROM history WHERE CASE WHEN length(raw) > 5 THEN 1 / 0 ELSE 1 END = 1
-- By another way: views, CTEs, what describes the tables, plans, the hidden name itself.
SELECT who, count(*) FROM failures GROUP BY who ORDER BY 1
SELECT n FROM failures ORDER BY at LIMIT 3
SELECT count(*) FROM failures WHERE who = '0'
WITH h AS (SELECT source_ip AS x FROM history) SELECT count(x) FROM h
WITH h(a, b) AS (SELECT event_id, raw FROM history) SELECT max(b) FROM h
SELECT count(*) FROM (SELECT source_ip || user_name AS x FROM history) s WHERE x IS NOT NULL
DESCRIBE history
DESCRIBE quarantine
DESCRIBE trails.everything
SHOW COLUMNS FROM history LIKE '%ip%'
SELECT column_name, is_nullable, comment FROM information_schema.columns WHERE comment LIKE 'Withheld%' ORDER BY table_name, ordinal_position
EXPLAIN SELECT source_ip FROM history WHERE source_ip = '10.0.0.4'
EXPLAIN SELECT count(*) FROM history WHERE source_ip LIKE '10.%' AND event_time > '2026-11-20T10:00:00Z'
EXPLAIN SELECT event_id FROM history ORDER BY source_ip LIMIT 3
EXPLAIN SELECT max(source_ip), count(raw) FROM history
EXPLAIN SELECT a.event_id FROM history a JOIN trails.writes b ON a.source_ip = b.source_ip
SELECT "withheld source_ip" FROM history LIMIT 1
SELECT "withheld raw" FROM history LIMIT 1
SELECT source_ip FROM (SELECT * FROM history) h ORDER BY event_time LIMIT 1
SELECT SOURCE_IP FROM HISTORY ORDER BY event_time LIMIT 1
SELECT "SOURCE_IP" FROM history
SELECT h."source_ip" FROM cairn.public.history h ORDER BY event_time LIMIT 1
