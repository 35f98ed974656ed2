-- What a store could answer from its footers instead of its rows.
SELECT count(*) FROM history
SELECT count(1) FROM history
SELECT count(account_id) FROM history
SELECT count(raw) FROM history
SELECT count(error_code) FROM history
SELECT count(*) - count(error_code) FROM history
SELECT count(user_identity) FROM history
SELECT count(*) FROM events
SELECT count(*) FROM trails.writes
SELECT count(*) FROM trails.everything
SELECT count(*) FROM quarantine
SELECT min(account_id) FROM history
SELECT max(account_id) FROM history
SELECT min(account_id), max(account_id), count(DISTINCT account_id) FROM history
SELECT min(event_time), max(event_time) FROM history
SELECT min(event_time), max(event_time) FROM trails.everything
SELECT min(ingest_time), max(ingest_time) FROM history
SELECT min(log_offset), max(log_offset) FROM history
SELECT min(user_name), max(user_name) FROM history
SELECT min(source_ip), max(source_ip) FROM history
SELECT min(event_id), max(event_id) FROM history
SELECT min(raw), max(raw) FROM history
SELECT min(ingest_date), max(ingest_date), count(DISTINCT ingest_date) FROM history
SELECT min(late), max(late), bool_and(late), bool_or(late) FROM history
SELECT min(log_partition), max(log_item) FROM history
SELECT max(length(user_name)), min(length(user_agent)) FROM history
SELECT count(DISTINCT user_name), approx_distinct(user_name) FROM history
SELECT approx_distinct(event_id) FROM history
SELECT median(log_offset), count(approx_median(log_offset)) FROM history
SELECT avg(log_offset), stddev(log_offset), var_pop(log_offset) FROM history
SELECT corr(log_offset, length(user_name)), covar_pop(log_offset, length(source_ip)) FROM history
SELECT regr_slope(log_offset, length(user_name)), regr_count(log_offset, log_offset) FROM history
SELECT bit_xor(log_offset), bit_and(log_offset), bit_or(log_offset) FROM history
SELECT sum(log_offset), sum(DISTINCT log_offset % 7) FROM history
SELECT first_value(account_id ORDER BY log_offset DESC), last_value(account_id ORDER BY log_offset DESC) FROM history
SELECT nth_value(account_id, 2 ORDER BY log_offset) FROM history
SELECT array_agg(account_id ORDER BY log_offset)[1:4] FROM history
SELECT string_agg(DISTINCT account_id, ',' ORDER BY account_id) FROM history
SELECT min(struct(account_id, event_id)) FROM history
SELECT grouping(account_id), account_id, count(*) FROM history GROUP BY CUBE (account_id) ORDER BY 1, 2
SELECT account_id, service_name, count(*) FROM history GROUP BY GROUPING SETS ((account_id), (service_name), ()) ORDER BY 1, 2
SELECT service_name, region, count(*) FROM history GROUP BY ROLLUP (service_name, region) ORDER BY 1, 2
SELECT account_id, min(event_time) FROM history GROUP BY account_id ORDER BY 2 LIMIT 1
SELECT event_name, count(*) FROM history GROUP BY event_name ORDER BY 2 DESC, 1 LIMIT 1
SELECT count(*) FROM history GROUP BY account_id ORDER BY 1 DESC LIMIT 1
SELECT DISTINCT account_id FROM history
SELECT DISTINCT account_id, region FROM history ORDER BY 1, 2
SELECT DISTINCT ON (account_id) account_id, event_id FROM history ORDER BY account_id, event_time
SELECT DISTINCT user_name FROM history ORDER BY 1 DESC LIMIT 2
-- Comparisons that choose files, pages and filters: what they leave out must not show.
SELECT count(*) FROM history WHERE account_id = '222222222222'
SELECT count(*) FROM history WHERE account_id >= '2'
SELECT count(*) FROM history WHERE account_id LIKE '2%'
SELECT count(*) FROM history WHERE account_id LIKE '%2'
SELECT count(*) FROM history WHERE account_id ILIKE '222222222222'
SELECT count(*) FROM history WHERE account_id IS NOT NULL
SELECT count(*) FROM history WHERE account_id IS NULL OR account_id <> '111111111111'
SELECT count(*) FROM history WHERE NOT account_id = '111111111111'
SELECT count(*) FROM history WHERE account_id IS DISTINCT FROM '111111111111'
SELECT count(*) FROM history WHERE account_id BETWEEN '2' AND '6'
SELECT count(*) FROM history WHERE account_id IN ('222222222222', '5333333333333333', 'x')
SELECT count(*) FROM history WHERE account_id NOT IN ('111111111111')
SELECT count(*) FROM history WHERE account_id NOT IN ('111111111111', NULL)
SELECT count(*) FROM history WHERE account_id = '111111111111' OR true
SELECT count(*) FROM history WHERE (account_id = '222222222222') IS NOT TRUE
SELECT count(*) FROM history WHERE (account_id = '222222222222') IS UNKNOWN
SELECT count(*) FROM history WHERE lower(account_id) = '222222222222'
SELECT count(*) FROM history WHERE account_id || '' = '222222222222'
SELECT count(*) FROM history WHERE reverse(account_id) LIKE '2%'
SELECT count(*) FROM history WHERE event_id = 'id-1'
SELECT count(*) FROM history WHERE event_id IN ('id-0', 'id-1', 'id-2', 'id-3')
SELECT count(*) FROM history WHERE user_name = 'secret-222222222222-1'
SELECT count(*) FROM history WHERE user_name > 'secret'
SELECT count(*) FROM history WHERE user_name < 'secret' AND user_name >= '6'
SELECT count(*) FROM history WHERE user_agent = ''
SELECT count(*) FROM history WHERE user_agent IS NULL OR user_agent = ''
SELECT count(*) FROM history WHERE event_name <> 'CreateUser'
SELECT count(*) FROM history WHERE event_rw = 'Read'
SELECT count(*) FROM history WHERE late
SELECT count(*) FROM history WHERE NOT late
SELECT count(*) FROM history WHERE late IS NOT TRUE
SELECT count(*) FROM history WHERE log_offset = 1
SELECT count(*) FROM history WHERE log_offset IN (1, 2, 3)
SELECT count(*) FROM history WHERE log_offset BETWEEN 1 AND 3
SELECT count(*) FROM history WHERE log_offset % 4 <> 0
SELECT count(*) FROM history WHERE log_offset > 1140
SELECT count(*) FROM history WHERE log_offset < 0 OR log_offset > 5000
SELECT count(*) FROM history WHERE event_time < '2026-11-20T00:03:00Z'
SELECT count(*) FROM history WHERE event_time = '2026-11-20T00:01:00Z'
SELECT count(*) FROM history WHERE event_time > '2026-11-20T19:55:00Z'
SELECT count(*) FROM history WHERE date_trunc('hour', event_time) = '2026-11-20T01:00:00Z'
SELECT count(*) FROM history WHERE ingest_date = '2026-11-21'
SELECT count(*) FROM history WHERE ingest_date <> '2026-11-20'
SELECT count(*) FROM history WHERE request_parameters = 'not json'
SELECT count(*) FROM history WHERE raw = '{"eventId": "id-1"}'
SELECT count(*) FROM history WHERE source_ip = '10.0.0.1'
SELECT count(*) FROM history WHERE source_ip = '10.0.0.1' AND account_id = '222222222222'
-- How many rows lie before: limits and offsets count the principal's own.
SELECT count(*) FROM (SELECT * FROM history LIMIT 400) x
SELECT count(*) FROM (SELECT * FROM history OFFSET 250) x
SELECT count(*) FROM (SELECT * FROM history LIMIT 100 OFFSET 250) x
SELECT DISTINCT account_id FROM (SELECT account_id FROM history LIMIT 50) x
SELECT event_id FROM history ORDER BY event_time OFFSET 299
SELECT event_id FROM history ORDER BY event_time OFFSET 300
SELECT event_id FROM history ORDER BY event_time LIMIT 1 OFFSET 1
SELECT event_id FROM history ORDER BY event_time DESC FETCH FIRST 2 ROWS ONLY
SELECT event_id FROM history ORDER BY event_time DESC LIMIT ALL OFFSET 298
SELECT event_id FROM history ORDER BY account_id DESC, event_time LIMIT 2
SELECT event_id FROM history ORDER BY user_name DESC, event_time LIMIT 2
SELECT event_id FROM history ORDER BY length(user_name) DESC, event_time LIMIT 2
SELECT event_id FROM history ORDER BY error_code NULLS FIRST, event_time LIMIT 2
SELECT event_id FROM history ORDER BY account_id = '222222222222' DESC, event_time LIMIT 2
SELECT event_id FROM history WHERE account_id > '1' ORDER BY event_time DESC LIMIT 3
SELECT event_id FROM trails.everything ORDER BY event_time DESC LIMIT 3
SELECT event_id FROM history LIMIT -1
SELECT event_id FROM history LIMIT (SELECT count(*) FROM history WHERE account_id = '222222222222')
SELECT event_id FROM history ORDER BY event_time LIMIT NULL OFFSET 299
SELECT * FROM history TABLESAMPLE SYSTEM (50)
SELECT * FROM history TABLESAMPLE (10 ROWS)
SELECT count(*) FROM history FOR SYSTEM_TIME AS OF '1970-01-01T00:00:00Z'
SELECT count(*) FROM history FOR VERSION AS OF 1
