-- What is in one and not in the other: differences of two sights of the same rows.
SELECT account_id FROM history UNION SELECT account_id FROM trails.everything ORDER BY 1
SELECT account_id FROM history UNION ALL SELECT account_id FROM trails.everything ORDER BY 1 LIMIT 3
SELECT account_id FROM trails.everything EXCEPT SELECT account_id FROM history ORDER BY 1
SELECT account_id FROM history EXCEPT SELECT '111111111111' ORDER BY 1
SELECT event_id FROM trails.everything EXCEPT SELECT event_id FROM history ORDER BY 1
SELECT event_id FROM history EXCEPT SELECT event_id FROM trails.everything ORDER BY 1
SELECT event_id FROM history EXCEPT ALL SELECT event_id FROM trails.everything ORDER BY 1
SELECT user_name FROM history INTERSECT SELECT user_name FROM trails.everything ORDER BY 1
SELECT user_name FROM history INTERSECT SELECT 'secret-222222222222-3'
SELECT '222222222222' INTERSECT SELECT account_id FROM history
SELECT '222222222222' AS a EXCEPT SELECT account_id FROM history
VALUES ('222222222222'), ('111111111111') EXCEPT SELECT account_id FROM history ORDER BY 1
VALUES ('secret-222222222222-0'), ('0') INTERSECT SELECT user_name FROM history ORDER BY 1
SELECT count(*) FROM (SELECT account_id, region FROM history INTERSECT ALL SELECT account_id, region FROM trails.writes) x
SELECT count(*) FROM (SELECT event_id FROM history UNION SELECT event_id FROM trails.writes UNION SELECT event_id FROM trails."my-trail") x
SELECT n FROM (SELECT count(*) AS n FROM history UNION ALL SELECT count(*) FROM trails.everything UNION ALL SELECT count(*) FROM trails.writes) x ORDER BY 1
(SELECT account_id FROM history) UNION (SELECT account_id FROM quarantine) ORDER BY 1
(SELECT account_id FROM quarantine) EXCEPT (SELECT account_id FROM history) ORDER BY 1
SELECT account_id FROM history UNION SELECT name FROM (SELECT 'x' AS name) y ORDER BY 1
-- The types of the arms have to meet: what that takes must not look at hidden rows.
SELECT log_offset FROM history UNION SELECT user_name::bigint FROM history ORDER BY 1 LIMIT 3
SELECT user_name FROM history UNION SELECT log_offset FROM history ORDER BY 1 LIMIT 3
SELECT CAST(user_name AS INT) FROM history UNION ALL SELECT 1 / (length(user_agent) - 10 + 1) FROM history ORDER BY 1 LIMIT 3
SELECT account_id FROM history UNION ALL BY NAME SELECT account_id FROM trails.writes ORDER BY 1 LIMIT 3
SELECT * FROM history EXCEPT SELECT * FROM history
SELECT count(*) FROM (SELECT * FROM history INTERSECT SELECT * FROM trails.everything) x
SELECT account_id, count(*) FROM (SELECT account_id FROM history UNION ALL SELECT account_id FROM history) x GROUP BY 1 ORDER BY 1
SELECT count(*) FROM (SELECT event_id FROM history WHERE account_id = '222222222222' UNION ALL SELECT event_id FROM history WHERE account_id <> '222222222222') x
SELECT 1 UNION SELECT 1 / 0
SELECT 1 UNION ALL SELECT 1 / (SELECT count(*) FROM history WHERE account_id = '222222222222')
