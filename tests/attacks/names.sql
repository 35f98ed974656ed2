-- Every way to say a name: case, quotes, parts, letters that look alike.
SELECT count(*) FROM history
SELECT count(*) FROM HISTORY
SELECT count(*) FROM "history"
SELECT count(*) FROM "HISTORY"
SELECT count(*) FROM "History"
SELECT count(*) FROM public.history
SELECT count(*) FROM PUBLIC.HISTORY
SELECT count(*) FROM "public"."history"
SELECT count(*) FROM "PUBLIC"."history"
SELECT count(*) FROM cairn.public.history
SELECT count(*) FROM CAIRN.Public.History
SELECT count(*) FROM "cairn"."public"."history"
SELECT count(*) FROM "Cairn"."public"."history"
SELECT count(*) FROM "cairn.public.history"
SELECT count(*) FROM "public.history"
SELECT count(*) FROM cairn.history
SELECT count(*) FROM cairn.cairn.public.history
SELECT count(*) FROM datafusion.public.history
SELECT count(*) FROM postgres.public.history
SELECT count(*) FROM ..history
SELECT count(*) FROM .history
SELECT count(*) FROM public..history
SELECT count(*) FROM ""."history"
SELECT count(*) FROM ""
SELECT count(*) FROM "history "
SELECT count(*) FROM " history"
SELECT count(*) FROM "history;"
SELECT count(*) FROM "history""; --"
SELECT count(*) FROM `history`
SELECT count(*) FROM [history]
SELECT count(*) FROM 'history'
SELECT count(*) FROM $$history$$
SELECT count(*) FROM U&"h\0069story"
SELECT count(*) FROM hіstory
SELECT count(*) FROM "histоry"
SELECT count(*) FROM "history​"
SELECT count(*) FROM "ｈistory"
SELECT count(*) FROM "ħistory"
SELECT count(*) FROM ONLY history
SELECT count(*) FROM history AS "trails.b-only"
SELECT count(*) FROM history.history
SELECT count(*) FROM history.public.cairn
-- Trails: told and untold, there and not there, by every spelling.
SELECT count(*) FROM trails.writes
SELECT count(*) FROM trails.WRITES
SELECT count(*) FROM trails."Writes"
SELECT count(*) FROM trails."wRiTeS"
SELECT count(*) FROM TRAILS.writes
SELECT count(*) FROM "Trails".writes
SELECT count(*) FROM trails."my-trail"
SELECT count(*) FROM trails."MY-TRAIL"
SELECT count(*) FROM trails.my-trail
SELECT count(*) FROM trails.my_trail
SELECT count(*) FROM trails.everything
SELECT count(*) FROM trails."Everything"
SELECT count(*) FROM cairn.trails."EVERYTHING"
SELECT count(*) FROM trails."everything "
SELECT count(*) FROM trails."b-only" WHERE account_id = '222222222222' AND false
SELECT count(*) FROM trails."../history"
SELECT count(*) FROM trails."..%2fhistory"
SELECT count(*) FROM trails."*"
SELECT count(*) FROM trails.history
SELECT count(*) FROM trails.trails
SELECT count(*) FROM trails.quarantine
SELECT count(*) FROM trails
SELECT count(*) FROM everything
-- Columns: the one that decides, under every name.
SELECT count(DISTINCT "account_id") FROM history
SELECT count(DISTINCT ACCOUNT_ID) FROM history
SELECT "ACCOUNT_ID" FROM history LIMIT 1
SELECT history.account_id FROM history GROUP BY 1
SELECT public.history.account_id FROM public.history GROUP BY 1
SELECT cairn.public.history.account_id FROM cairn.public.history GROUP BY 1
SELECT h."account_id" FROM history "h" GROUP BY 1
SELECT "h h"."account_id" FROM history "h h" GROUP BY 1
SELECT account_id AS "account_id", 'x' AS account_id FROM history GROUP BY 1
SELECT '222222222222' AS account_id, count(*) FROM history GROUP BY 1
SELECT h.account_id FROM (SELECT '222222222222' AS account_id, event_id FROM history) h GROUP BY 1
SELECT count(*) FROM (SELECT event_id AS account_id, account_id AS event_id FROM history) x WHERE event_id <> '111111111111'
SELECT * EXCLUDE (raw) FROM history WHERE account_id = '222222222222'
SELECT * EXCEPT (account_id) FROM history ORDER BY event_time LIMIT 1
SELECT * REPLACE ('222222222222' AS account_id) FROM history ORDER BY event_time LIMIT 1
SELECT history FROM history ORDER BY event_time LIMIT 1
SELECT (history).account_id FROM history ORDER BY event_time LIMIT 1
SELECT h.* FROM history h WHERE h.account_id IN ('222222222222')
SELECT ctid FROM history ORDER BY event_time LIMIT 1
SELECT xmin FROM history LIMIT 1
SELECT _rowid_ FROM history LIMIT 1
SELECT "__datafusion_internal" FROM history LIMIT 1
SELECT "withheld account_id" FROM history LIMIT 1
