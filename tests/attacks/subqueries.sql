-- A subquery is planned apart from the statement around it: each place where one may stand.
SELECT count(*) FROM (SELECT * FROM history) h
SELECT count(*) FROM (SELECT * FROM (SELECT * FROM (SELECT account_id FROM history) a) b) c WHERE account_id = '222222222222'
SELECT max(n) FROM (SELECT account_id, count(*) AS n FROM history GROUP BY account_id) g
SELECT account_id FROM (SELECT DISTINCT account_id FROM history) d ORDER BY account_id DESC LIMIT 3
SELECT (SELECT count(*) FROM history)
SELECT (SELECT count(*) FROM history WHERE account_id <> '111111111111')
SELECT (SELECT user_name FROM history WHERE account_id = '222222222222' ORDER BY event_time LIMIT 1)
SELECT (SELECT min(raw) FROM history WHERE event_id = 'id-1')
SELECT event_id, (SELECT count(*) FROM history) AS n FROM history ORDER BY event_time LIMIT 2
-- Correlated: the inner query meets each outer row; the outer one is not all that is filtered.
SELECT event_id, (SELECT count(*) FROM history i WHERE i.source_ip = h.source_ip) AS n FROM history h ORDER BY event_time LIMIT 5
SELECT event_id, (SELECT max(i.account_id) FROM history i WHERE i.source_ip = h.source_ip) AS m FROM history h ORDER BY event_time LIMIT 5
SELECT event_id, (SELECT count(*) FROM history i WHERE i.log_offset = h.log_offset + 1) AS after FROM history h ORDER BY event_time LIMIT 5
SELECT event_id, (SELECT max(i.user_name) FROM history i WHERE i.log_offset < h.log_offset) AS before FROM history h ORDER BY event_time DESC LIMIT 5
SELECT count(*) FROM history h WHERE EXISTS (SELECT 1 FROM history i WHERE i.account_id = '222222222222')
SELECT count(*) FROM history h WHERE NOT EXISTS (SELECT 1 FROM history i WHERE i.account_id = '222222222222')
SELECT count(*) FROM history h WHERE EXISTS (SELECT 1 FROM history i WHERE i.event_time = h.event_time + INTERVAL '1 minute')
SELECT count(*) FROM history h WHERE EXISTS (SELECT 1 FROM history i WHERE i.account_id <> h.account_id)
SELECT count(*) FROM history h WHERE 1 < (SELECT count(DISTINCT i.account_id) FROM history i)
SELECT count(*) FROM history h WHERE h.event_time < (SELECT max(event_time) FROM history)
SELECT count(*) FROM history h WHERE h.log_offset > (SELECT avg(log_offset) FROM history)
SELECT count(*) FROM history h WHERE h.log_offset = (SELECT max(log_offset) FROM history)
-- IN and its kin: the list is a set of values that nobody was given.
SELECT count(*) FROM history WHERE account_id IN (SELECT account_id FROM history)
SELECT count(*) FROM history WHERE account_id NOT IN (SELECT account_id FROM history WHERE account_id = '111111111111')
SELECT count(*) FROM history WHERE '222222222222' IN (SELECT account_id FROM history)
SELECT count(*) FROM history WHERE 'secret-222222222222-3' IN (SELECT user_name FROM history)
SELECT '222222222222' IN (SELECT account_id FROM history) AS there
SELECT 'secret-5333333333333333-1' NOT IN (SELECT user_name FROM history) AS absent
SELECT count(*) FROM history WHERE log_offset + 1 IN (SELECT log_offset FROM history)
SELECT count(*) FROM history WHERE (account_id, event_name) IN (SELECT account_id, event_name FROM trails.everything)
SELECT count(*) FROM history WHERE event_id = ANY (SELECT event_id FROM trails.everything WHERE account_id = '222222222222')
SELECT count(*) FROM history WHERE log_offset > ALL (SELECT log_offset FROM history WHERE account_id <> '111111111111')
SELECT count(*) FROM history WHERE user_name = SOME (SELECT user_name FROM history WHERE user_agent = '')
-- A scalar subquery of more than one row is an error only if there are several.
SELECT (SELECT account_id FROM (SELECT DISTINCT account_id FROM history) d)
SELECT (SELECT account_id FROM history GROUP BY account_id HAVING count(*) > 400)
SELECT (SELECT DISTINCT account_id FROM history WHERE account_id <> '111111111111')
SELECT count(*) FROM history WHERE account_id = (SELECT DISTINCT account_id FROM history)
-- In the places where one seldom stands.
SELECT count(*) FROM history GROUP BY (SELECT 1) HAVING count(*) > (SELECT count(*) FROM history WHERE account_id = '222222222222')
SELECT event_id FROM history ORDER BY (SELECT count(*) FROM history), event_time LIMIT 2
SELECT CASE WHEN EXISTS (SELECT 1 FROM history WHERE account_id = '222222222222') THEN 'yes' ELSE 'no' END AS there
SELECT COALESCE((SELECT max(user_name) FROM history WHERE account_id = '222222222222'), 'nothing') AS found
SELECT count(*) FILTER (WHERE account_id IN (SELECT '222222222222')) FROM history
SELECT array_agg(x) FROM (SELECT DISTINCT account_id AS x FROM history ORDER BY 1) s
SELECT length(string_agg(user_name, ',')) FROM (SELECT user_name FROM history ORDER BY event_time) s
SELECT (SELECT count(*) FROM history WHERE user_name LIKE 'secret%') + (SELECT count(*) FROM quarantine)
