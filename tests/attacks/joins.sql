-- A join's condition is evaluated on pairs, and its keys are handed to the other side as filters.
SELECT count(*) FROM history a JOIN history b ON a.account_id = b.account_id AND a.log_offset = b.log_offset
SELECT count(*) FROM history a JOIN history b ON a.account_id <> b.account_id
SELECT count(*) FROM history a JOIN history b ON a.log_offset + 1 = b.log_offset
SELECT count(*) FROM history a JOIN history b ON a.source_ip = b.source_ip AND a.account_id < b.account_id
SELECT count(*) FROM history a CROSS JOIN history b
SELECT count(*) FROM history a, history b WHERE a.account_id = '222222222222'
SELECT count(*) FROM history a NATURAL JOIN trails.writes b
SELECT count(*) FROM history a JOIN trails.everything b USING (event_id)
SELECT count(*) FROM history a JOIN trails.everything b USING (event_id, account_id) WHERE b.account_id = '222222222222'
SELECT count(*), count(b.event_id) FROM history a LEFT JOIN trails.writes b ON a.event_id = b.event_id
SELECT count(*), count(a.event_id) FROM history a RIGHT JOIN trails.everything b ON a.event_id = b.event_id
SELECT count(*), count(a.event_id), count(b.event_id) FROM history a FULL JOIN trails.everything b ON a.event_id = b.event_id AND a.account_id <> b.account_id
SELECT b.account_id FROM (VALUES ('222222222222'), ('111111111111')) v(account_id) LEFT JOIN (SELECT DISTINCT account_id FROM history) b ON b.account_id = v.account_id ORDER BY 1
SELECT v.a, b.n FROM (VALUES ('222222222222'), ('5333333333333333'), ('111111111111')) v(a) LEFT JOIN (SELECT account_id, count(*) AS n FROM history GROUP BY 1) b ON b.account_id = v.a ORDER BY 1
SELECT v.u FROM (VALUES ('secret-222222222222-3'), ('3')) v(u) WHERE EXISTS (SELECT 1 FROM history h WHERE h.user_name = v.u)
SELECT v.u FROM (VALUES ('secret-222222222222-3'), ('3')) v(u) WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.user_name = v.u)
SELECT count(*) FROM (VALUES (1), (2), (3), (4)) v(n) JOIN history h ON h.log_offset = v.n
SELECT v.n, h.account_id FROM (VALUES (0), (1), (2), (3)) v(n) LEFT JOIN history h ON h.log_offset = v.n ORDER BY 1
SELECT count(*) FROM history a LEFT SEMI JOIN trails.everything b ON a.user_name = b.user_name
SELECT count(*) FROM history a LEFT ANTI JOIN trails.everything b ON a.user_name = b.user_name
SELECT count(*) FROM trails.everything a LEFT ANTI JOIN history b ON a.event_id = b.event_id
SELECT count(*) FROM history a RIGHT SEMI JOIN trails.everything b ON a.event_id = b.event_id
SELECT count(*) FROM history a JOIN quarantine q ON a.account_id IS DISTINCT FROM q.account_id
SELECT count(*) FROM quarantine q LEFT JOIN history h ON q.account_id = h.account_id
-- Conditions that fail on hidden pairs.
SELECT count(*) FROM history a JOIN history b ON a.log_offset = b.log_offset AND 1 / length(b.user_agent) >= 0
SELECT count(*) FROM history a JOIN history b ON CAST(a.user_name AS INT) = CAST(b.user_name AS INT) AND a.log_offset = b.log_offset
SELECT count(*) FROM history a JOIN history b ON a.event_id = b.event_id AND CASE WHEN b.account_id = '222222222222' THEN 1 / 0 ELSE 1 END = 1
SELECT count(*) FROM history a LEFT JOIN history b ON a.event_id = b.event_id AND 1 / (b.log_offset - 1) >= 0
SELECT count(*) FROM history a JOIN (VALUES ('222222222222')) v(x) ON a.account_id = v.x AND 1 / (a.log_offset - a.log_offset) = 1
-- A small side makes a filter for the large one, with the least and the greatest of its keys.
SELECT count(*) FROM trails.everything big JOIN (SELECT event_id FROM history WHERE log_offset < 5) small ON big.event_id = small.event_id
SELECT count(*) FROM trails.everything big JOIN (SELECT max(event_time) AS m FROM history) small ON big.event_time >= small.m
SELECT count(*) FROM history big JOIN (SELECT user_name FROM history WHERE account_id = '222222222222' LIMIT 1) small ON big.user_name = small.user_name
-- LATERAL: the right side sees the row on the left.
SELECT h.event_id, l.n FROM history h, LATERAL (SELECT count(*) AS n FROM history i WHERE i.source_ip = h.source_ip) l ORDER BY h.event_time LIMIT 3
SELECT h.event_id, l.m FROM history h CROSS JOIN LATERAL (SELECT max(i.account_id) AS m FROM trails.everything i WHERE i.log_offset <= h.log_offset) l ORDER BY h.event_time LIMIT 3
SELECT h.event_id, l.u FROM history h LEFT JOIN LATERAL (SELECT i.user_name AS u FROM history i WHERE i.log_offset = h.log_offset + 1) l ON true ORDER BY h.event_time LIMIT 3
SELECT v.a, l.n FROM (VALUES ('222222222222'), ('111111111111')) v(a), LATERAL (SELECT count(*) AS n FROM history h WHERE h.account_id = v.a) l ORDER BY 1
SELECT x.f FROM history h, LATERAL unnest(h.flags) x(f) LIMIT 1
SELECT count(*) FROM history h CROSS JOIN unnest(make_array('111111111111', '222222222222')) u(a) WHERE h.account_id = u.a
SELECT count(*) FROM history h, LATERAL (SELECT 1 / length(i.user_agent) AS z FROM history i WHERE i.log_offset = h.log_offset) l WHERE l.z >= 0
SELECT count(*) FROM history a JOIN history b ON a.event_id = b.event_id JOIN trails.everything c ON b.event_id = c.event_id JOIN trails.writes d ON c.event_id = d.event_id
SELECT count(*) FROM history a JOIN events b ON a.event_id = b.event_id WHERE a.account_id <> b.account_id
SELECT count(*) FROM history a JOIN failures f ON a.event_time = f.at WHERE f.account <> a.account_id
SELECT a.account_id FROM history a ASOF JOIN history b MATCH_CONDITION (a.event_time >= b.event_time) ON a.source_ip = b.source_ip LIMIT 1
SELECT count(*) FROM history PIVOT (count(event_id) FOR account_id IN ('111111111111', '222222222222'))
