-- A window looks at the neighbours of a row: they must be the principal's neighbours.
SELECT event_id, row_number() OVER (ORDER BY event_time) AS n FROM history ORDER BY n LIMIT 5
SELECT event_id, row_number() OVER (ORDER BY log_offset DESC) AS n FROM history ORDER BY n LIMIT 5
SELECT event_id, lag(event_id) OVER (ORDER BY event_time) AS before FROM history ORDER BY event_time LIMIT 5
SELECT event_id, lag(user_name, 1) OVER (ORDER BY event_time) AS before FROM history ORDER BY event_time LIMIT 5
SELECT event_id, lead(account_id) OVER (ORDER BY event_time) AS after FROM history ORDER BY event_time LIMIT 5
SELECT event_id, lead(raw, 3, 'none') OVER (ORDER BY event_time) AS after FROM history ORDER BY event_time DESC LIMIT 5
SELECT event_id, log_offset - lag(log_offset) OVER (ORDER BY log_offset) AS gap FROM history ORDER BY log_offset LIMIT 5
SELECT DISTINCT log_offset - lag(log_offset) OVER (ORDER BY log_offset) AS gap FROM history ORDER BY 1
SELECT DISTINCT first_value(account_id) OVER (ORDER BY account_id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS f FROM history
SELECT DISTINCT last_value(account_id) OVER (ORDER BY account_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS f FROM history
SELECT DISTINCT nth_value(user_name, 2) OVER (ORDER BY event_time ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS f FROM history
SELECT DISTINCT count(*) OVER () AS n FROM history
SELECT DISTINCT account_id, count(*) OVER (PARTITION BY account_id) AS n FROM history ORDER BY 1
SELECT DISTINCT max(log_offset) OVER () AS m, min(event_id) OVER () AS l FROM history
SELECT event_id, sum(log_offset) OVER (ORDER BY event_time ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS s FROM history ORDER BY event_time LIMIT 4
SELECT event_id, count(*) OVER (ORDER BY event_time RANGE BETWEEN INTERVAL '3 minutes' PRECEDING AND CURRENT ROW) AS n FROM history ORDER BY event_time LIMIT 4
SELECT event_id, string_agg(account_id, ',') OVER (ORDER BY event_time ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s FROM history ORDER BY event_time LIMIT 4
SELECT event_id, array_agg(user_name) OVER (ORDER BY event_time ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS s FROM history ORDER BY event_time LIMIT 4
SELECT event_id, rank() OVER (ORDER BY source_ip) AS r, dense_rank() OVER (ORDER BY source_ip) AS d FROM history ORDER BY event_id LIMIT 5
SELECT event_id, ntile(4) OVER (ORDER BY event_time) AS q FROM history ORDER BY event_id LIMIT 5
SELECT event_id, percent_rank() OVER (ORDER BY event_time) AS p, cume_dist() OVER (ORDER BY event_time) AS c FROM history ORDER BY event_id LIMIT 5
SELECT event_id FROM (SELECT event_id, row_number() OVER (PARTITION BY account_id ORDER BY event_time DESC) AS r FROM history) x WHERE r = 1 ORDER BY 1
SELECT event_id FROM history QUALIFY row_number() OVER (PARTITION BY account_id ORDER BY event_time) = 1 ORDER BY 1
SELECT count(*) FROM (SELECT sum(CASE WHEN account_id = '222222222222' THEN 1 / 0 ELSE 1 END) OVER (ORDER BY event_time) AS s FROM history) x
SELECT count(*) FROM (SELECT max(CAST(user_name AS INT)) OVER (ORDER BY event_time) AS s FROM history) x
SELECT count(*) FROM (SELECT lag(100 / length(user_agent)) OVER (ORDER BY event_time) AS s FROM history) x
SELECT event_id, count(*) FILTER (WHERE account_id <> '111111111111') OVER (ORDER BY event_time) AS n FROM history ORDER BY event_time DESC LIMIT 2
SELECT event_id, max(event_time) OVER w - event_time AS d FROM history WINDOW w AS (PARTITION BY service_name) ORDER BY event_id LIMIT 3
SELECT account_id, rank() OVER (ORDER BY count(*) DESC) AS r, count(*) AS n FROM history GROUP BY account_id ORDER BY r
SELECT account_id, sum(count(*)) OVER () AS n FROM history GROUP BY account_id ORDER BY 1
SELECT approx_distinct(account_id) OVER () AS n FROM history LIMIT 1
