-- A query that fails on a row that nobody may see tells that the row is there.
SELECT count(*) FROM history WHERE CASE WHEN account_id = '222222222222' THEN 1 / 0 ELSE 1 END = 1
SELECT count(*) FROM history WHERE 1 / (CASE WHEN user_name = 'secret-222222222222-3' THEN 0 ELSE 1 END) = 1
SELECT count(*) FROM history WHERE 1 % (CASE WHEN account_id = '5333333333333333' THEN 0 ELSE 1 END) = 0
SELECT sum(1 / (CASE WHEN account_id = '222222222222' THEN 0 ELSE 1 END)) FROM history
SELECT max(1 / length(user_agent)) FROM history
SELECT avg(100 / length(user_agent)) FROM history GROUP BY service_name ORDER BY 1
SELECT count(*) FROM history GROUP BY 1 / length(user_agent)
SELECT count(*) FROM history HAVING min(1 / length(user_agent)) >= 0
SELECT event_id FROM history ORDER BY 1 / length(user_agent), event_time LIMIT 2
SELECT event_id FROM history WHERE 1 / length(user_agent) >= 0 ORDER BY event_time DESC LIMIT 2
SELECT count(DISTINCT 1 / length(user_agent)) FROM history
SELECT count(*) FILTER (WHERE 1 / length(user_agent) >= 0) FROM history
SELECT array_agg(DISTINCT 1 / length(user_agent)) FROM history
SELECT count(*) FROM history WHERE length(user_agent) > 0 AND 1 / length(user_agent) >= 0
SELECT count(*) FROM history WHERE 1 / length(user_agent) >= 0 OR account_id = '111111111111'
SELECT count(*) FROM history WHERE account_id <> '111111111111' AND 1 / 0 = 1
SELECT count(*) FROM history WHERE account_id = '222222222222' AND 1 / (log_offset - log_offset) = 1
SELECT count(*) FROM history WHERE 1 / 0 = 1
SELECT 1 / 0 FROM history WHERE false
SELECT 1 / 0 FROM history WHERE account_id = '222222222222'
SELECT 1 / 0 FROM history LIMIT 0
SELECT 1 / 0
SELECT 1.0 / 0
SELECT 0.0 / 0.0
SELECT mod(1, 0)
SELECT power(10, 400)
SELECT -9223372036854775808 / -1
SELECT 9223372036854775807 + 1
SELECT sum(log_offset * 9000000000000000000) FROM history
SELECT abs(-9223372036854775808)
SELECT factorial(100)
SELECT gcd(-9223372036854775808, 0)
-- Casts: a message may quote the cell.
SELECT count(*) FROM history WHERE CAST(user_name AS INT) >= 0
SELECT max(user_name::int) FROM history
SELECT sum(CAST(user_name AS DOUBLE)) FROM history
SELECT count(*) FROM history WHERE CAST(user_name AS BOOLEAN) IS NULL
SELECT count(*) FROM history WHERE CAST(user_name AS DATE) IS NULL
SELECT count(*) FROM history WHERE user_name::timestamp IS NULL
SELECT count(*) FROM history WHERE CAST(user_agent AS TIMESTAMP) IS NULL
SELECT count(*) FROM history WHERE CAST(source_ip AS INT) IS NULL
SELECT CAST(raw AS INT) FROM history WHERE account_id = '222222222222'
SELECT count(TRY_CAST(user_name AS INT)), count(*) FROM history
SELECT count(*) FROM history WHERE TRY_CAST(user_name AS INT) IS NULL
SELECT count(*) FROM history WHERE user_name = 3
SELECT count(*) FROM history WHERE user_name > 3
SELECT count(*) FROM history WHERE user_name BETWEEN 1 AND 3
SELECT count(*) FROM history WHERE user_name IN (1, 2, 3)
SELECT count(*) FROM history WHERE account_id = 111111111111
SELECT count(*) FROM history WHERE account_id < 222222222222
SELECT count(*) FROM history WHERE CAST(account_id AS BIGINT) < 200000000000
SELECT count(*) FROM history WHERE CAST(account_id AS INT) > 0
SELECT sum(CAST(account_id AS SMALLINT)) FROM history
SELECT CAST(max(account_id) AS BIGINT) FROM history
SELECT CAST(sum(log_offset) AS TINYINT) FROM history
SELECT CAST(count(*) AS TINYINT) FROM history
SELECT CAST(event_time AS DATE) FROM history GROUP BY 1 ORDER BY 1
SELECT CAST(event_id AS UUID) FROM history ORDER BY event_time LIMIT 1
SELECT arrow_cast(user_name, 'Int8') FROM history ORDER BY 1 LIMIT 1
SELECT arrow_cast(log_offset, 'Int8') FROM history WHERE account_id = '222222222222'
SELECT count(arrow_cast(user_name, 'UInt8')) FROM history
SELECT to_timestamp(user_name) FROM history WHERE account_id = '222222222222'
SELECT count(to_date(user_agent, '%Y')) FROM history
SELECT count(to_timestamp(raw)) FROM history
SELECT date_part('bad', event_time) FROM history LIMIT 1
SELECT date_trunc(user_name, event_time) FROM history ORDER BY 1 LIMIT 1
SELECT date_bin(INTERVAL '0 seconds', event_time) FROM history LIMIT 1
SELECT event_time + make_interval FROM history LIMIT 1
SELECT event_time + INTERVAL '1000000 years' FROM history WHERE account_id = '222222222222'
SELECT INTERVAL 'x'
-- Arrays, JSON, texts and patterns that fail on some values.
SELECT count(*) FROM history WHERE make_array(1, 2)[length(user_agent)] IS NULL
SELECT count(make_array(1)[CAST(user_name AS INT)]) FROM history
SELECT count(array_element(make_array(1, 2, 3), CAST(user_name AS INT))) FROM history
SELECT count(array_slice(make_array(1, 2, 3), 1, CAST(user_name AS INT))) FROM history
SELECT count(array_repeat(1, CAST(user_name AS INT))) FROM history
SELECT count(*) FROM history WHERE request_parameters->>'UserName' = 'u1'
SELECT sum(json_get_int(request_parameters, 'n')) FROM history
SELECT sum(CAST(request_parameters->>'n' AS INT)) FROM history
SELECT count(*) FROM history WHERE json_length(request_parameters) > 0
SELECT count(*) FROM history WHERE json_contains(request_parameters, 'UserName')
SELECT count(*) FROM history WHERE json_get_str(raw, 'eventId') = 'id-1'
SELECT count(*) FROM history WHERE raw->'eventId'->'a'->0->'b' IS NOT NULL
SELECT max(json_as_text(raw, 'eventId')) FROM history
SELECT count(regexp_like(user_name, raw)) FROM history
SELECT count(*) FROM history WHERE user_name ~ '['
SELECT count(*) FROM history WHERE raw ~ user_name
SELECT count(*) FROM history WHERE user_name ~ CASE WHEN account_id = '222222222222' THEN '[' ELSE 'x' END
SELECT count(*) FROM history WHERE regexp_like(CASE WHEN account_id = '222222222222' THEN '(' ELSE 'x' END, user_name)
SELECT regexp_replace(user_name, '(', 'x') FROM history WHERE account_id = '222222222222'
SELECT count(regexp_count(raw, '[a')) FROM history
SELECT count(*) FROM history WHERE user_name SIMILAR TO 'secret%'
SELECT count(*) FROM history WHERE user_name LIKE 'secret%' ESCAPE '%'
SELECT count(*) FROM history WHERE user_name LIKE '%\'
SELECT count(*) FROM history WHERE raw LIKE user_name || '%'
SELECT chr(CAST(user_name AS INT) - 10) FROM history ORDER BY event_time LIMIT 1
SELECT chr(length(user_agent) - 10) FROM history ORDER BY event_time LIMIT 1
SELECT count(chr(length(user_agent))) FROM history
SELECT count(repeat('x', length(user_agent) * 10)) FROM history
SELECT count(substr(user_name, 1, length(user_agent) - 10)) FROM history
SELECT count(substring(raw FROM 1 FOR length(user_agent) - 1)) FROM history
SELECT count(split_part(raw, ':', length(user_agent))) FROM history
SELECT count(split_part(raw, ':', CAST(user_name AS INT))) FROM history WHERE user_name <> '0'
SELECT count(decode(user_name, 'hex')) FROM history
SELECT count(decode(user_agent, 'base64')) FROM history
SELECT count(encode(CAST(raw AS BYTEA), user_name)) FROM history
SELECT count(to_hex(CAST(user_name AS INT))) FROM history
SELECT count(log(CAST(length(user_agent) AS DOUBLE))) FROM history
SELECT count(sqrt(length(user_agent) - 11)) FROM history
SELECT count(ln(length(user_agent))) FROM history
SELECT overlay(raw PLACING 'x' FROM length(user_agent)) FROM history ORDER BY event_time LIMIT 1
SELECT count(translate(raw, user_name, '')) FROM history
SELECT raise_error(user_name) FROM history
SELECT error('x')
SELECT assert_true(account_id = '111111111111') FROM history
SELECT count(named_struct('a', 1)['b']) FROM history
SELECT count(map(make_array(user_agent, 'aliyun-cli'), make_array(1, 2))) FROM history
SELECT count(map(make_array(user_name, user_name), make_array(1, 2))) FROM history WHERE account_id = '222222222222'
