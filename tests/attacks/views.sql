-- The compatibility views are other names for the same rows: other names, same scope, same masks.
SELECT count(*) FROM cloudtrail
SELECT count(*), min(recipientAccountId), max(recipientAccountId) FROM cloudtrail
SELECT count(*) FROM cloudtrail WHERE recipientAccountId = '222222222222'
SELECT count(*) FROM cloudtrail WHERE recipientAccountId <> '111111111111'
SELECT count(*) FROM cloudtrail WHERE userIdentity.userName LIKE 'secret%'
SELECT DISTINCT userIdentity.userName FROM cloudtrail ORDER BY 1
SELECT DISTINCT useridentity.username FROM cloudtrail ORDER BY 1
SELECT userIdentity.accountId, count(*) FROM cloudtrail GROUP BY 1 ORDER BY 1
SELECT eventID, sourceIPAddress, userAgent FROM cloudtrail ORDER BY eventTime LIMIT 3
SELECT count(*) FROM cloudtrail WHERE sourceIPAddress = '10.0.0.4'
SELECT count(sourceIPAddress), max(sourceIPAddress) FROM cloudtrail
SELECT element_at(requestParameters, 'UserName') FROM cloudtrail ORDER BY eventTime LIMIT 3
SELECT count(*) FROM cloudtrail WHERE element_at(requestParameters, 'UserName') = 'u1'
SELECT count(*) FROM cloudtrail WHERE CASE WHEN recipientAccountId = '222222222222' THEN 1 / 0 ELSE 1 END = 1
SELECT count(*) FROM cloudtrail WHERE CAST(userIdentity.userName AS INT) >= 0
SELECT max(1 / length(userAgent)) FROM cloudtrail
SELECT count(*) FROM cloudtrail c JOIN history h ON c.eventID = h.event_id
SELECT count(*) FROM cloudtrail c FULL JOIN actiontrail a ON true
SELECT count(*) FROM (SELECT * FROM cloudtrail LIMIT 400) x
SELECT eventID FROM cloudtrail ORDER BY eventTime DESC LIMIT 3
SELECT eventID FROM cloudtrail ORDER BY sourceIPAddress, eventID LIMIT 3
SELECT * FROM cloudtrail ORDER BY eventTime LIMIT 1
SELECT * FROM "cloudtrail" WHERE recipientAccountId IN ('222222222222')
SELECT * FROM CloudTrail WHERE recipientaccountid = '5333333333333333'
SELECT count(*) FROM cairn.public.cloudtrail
SELECT count(*) FROM trails.cloudtrail
SELECT eventJson FROM cloudtrail ORDER BY eventTime LIMIT 1
SELECT count(*) FROM cloudtrail FOR SYSTEM_TIME AS OF '2026-11-20T12:00:00Z'
DESCRIBE cloudtrail
DESCRIBE actiontrail
SHOW COLUMNS FROM cloudtrail LIKE '%ip%'
EXPLAIN SELECT count(*) FROM cloudtrail WHERE recipientAccountId = '222222222222'
EXPLAIN SELECT eventID FROM cloudtrail WHERE sourceIPAddress = '10.0.0.4' ORDER BY eventTime DESC LIMIT 3
SELECT count(*) FROM actiontrail
SELECT count(*) FROM log
SELECT "event.userIdentity.userName", count(*) FROM actiontrail GROUP BY 1 ORDER BY 1
SELECT count(*) FROM actiontrail WHERE "event.recipientAccountId" = '222222222222'
SELECT count(*) FROM actiontrail WHERE "event.sourceIpAddress" = '10.0.0.4'
SELECT "event.sourceIpAddress" FROM actiontrail ORDER BY "event.eventId" LIMIT 3
SELECT max("event.userIdentity.userName") FROM actiontrail WHERE "event.userIdentity.userName" LIKE 'secret%'
SELECT count(*) FROM actiontrail WHERE 1 / length("event.userAgent") >= 0
SELECT event FROM actiontrail ORDER BY 1 LIMIT 1
EXPLAIN SELECT count(*) FROM actiontrail WHERE "event.eventName" = 'CreateUser'
SELECT * FROM watermarks
SELECT count(*) FROM watermarks
-- Functions of other houses, over hidden and withheld values.
SELECT json_extract(raw, '$.eventId') FROM history ORDER BY event_time LIMIT 1
SELECT json_extract_scalar(raw, '$.eventId') FROM history ORDER BY event_time LIMIT 1
SELECT count(*) FROM history WHERE json_extract_scalar(raw, '$.eventId') = 'id-1'
SELECT count(json_parse(request_parameters)) FROM history
SELECT max(json_extract_scalar(request_parameters, '$.UserName')) FROM history
SELECT count(*) FROM history WHERE json_extract(request_parameters, '$[') IS NULL
SELECT map_values(json_parse(request_parameters)) FROM history ORDER BY event_time LIMIT 1
SELECT split(user_name, '-')[1], count(*) FROM history GROUP BY 1 ORDER BY 1
SELECT split(user_name, '-')[3] FROM history ORDER BY event_time LIMIT 1
SELECT count(*) FROM history WHERE element_at(split(user_name, '-'), 1) = 'secret'
SELECT max(arbitrary) FROM (SELECT arbitrary(account_id) AS arbitrary FROM history) x
SELECT date_format(event_time, '%Y'), count(*) FROM history GROUP BY 1
SELECT day_of_week(max(event_time)) FROM history
SELECT count(from_iso8601_timestamp(user_name)) FROM history
SELECT count(*) FROM history WHERE try_cast(user_name AS int) IS NULL
SELECT approx_distinct(account_id), approx_distinct(user_name) FROM history
SELECT filter(array_agg(account_id ORDER BY event_time), x -> x <> '111111111111') FROM history
SELECT transform(array_agg(DISTINCT account_id), x -> x || '!') FROM history
SELECT transform(split(user_name, '-'), x -> 1 / length(x)) FROM history ORDER BY event_time LIMIT 1
SELECT array_position(array_agg(account_id), '222222222222') FROM history
