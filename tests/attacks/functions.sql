-- Functions that could tell of others, of the machine, or of the time that something takes.
SELECT now() = now(), current_timestamp = now()
SELECT current_date, current_time
SELECT clock_timestamp()
SELECT statement_timestamp()
SELECT pg_sleep(10)
SELECT sleep(10)
SELECT benchmark(1000000, md5('x'))
SELECT count(*) FROM history WHERE CASE WHEN account_id = '222222222222' THEN pg_sleep(5) IS NULL ELSE true END
SELECT count(*) FROM history WHERE length(regexp_replace(raw, '(a+)+$', 'x')) > 0 AND account_id = '222222222222'
SELECT count(*) FROM history WHERE CASE WHEN account_id = '222222222222' THEN length(repeat(raw, 1000)) ELSE 1 END > 0
SELECT count(*) FROM history WHERE CASE WHEN account_id = '222222222222' THEN length(repeat(raw, 1000000000)) ELSE 1 END > 0
SELECT count(*) FROM history WHERE CASE WHEN user_name LIKE 'secret%' THEN levenshtein(repeat(raw, 5000), repeat(raw, 5000)) ELSE 1 END > 0
SELECT max(length(lpad(user_name, length(user_agent) * 1000))) FROM history
SELECT arrow_typeof(account_id), arrow_typeof(raw), arrow_typeof(resources) FROM history LIMIT 1
SELECT arrow_typeof(request_parameters->'n') FROM history LIMIT 1
SELECT arrow_metadata(account_id) FROM history LIMIT 1
SELECT pg_typeof(account_id) FROM history LIMIT 1
SELECT pg_column_size(raw) FROM history ORDER BY event_time LIMIT 1
SELECT hash(account_id) FROM history LIMIT 1
SELECT md5(account_id), count(*) FROM history GROUP BY 1 ORDER BY 1
SELECT encode(sha256(account_id), 'hex') AS h, count(*) FROM history GROUP BY 1 ORDER BY 1
SELECT digest(account_id, 'sha256') = digest('222222222222', 'sha256') AS same, count(*) FROM history GROUP BY 1
SELECT count(*) FROM history WHERE md5(account_id) = md5('222222222222')
SELECT count(*) FROM history WHERE starts_with(account_id, '2')
SELECT count(*) FROM history WHERE strpos(account_id, '2') > 0
SELECT count(*) FROM history WHERE position('2' IN account_id) > 0
SELECT count(*) FROM history WHERE contains(user_name, 'secret')
SELECT count(*) FROM history WHERE ends_with(user_name, '-3')
SELECT count(*) FROM history WHERE substr(user_name, 1, 6) = 'secret'
SELECT count(*) FROM history WHERE left(user_name, 1) = 's' OR right(user_name, 1) = '9'
SELECT count(*) FROM history WHERE ascii(user_name) = 115
SELECT count(*) FROM history WHERE character_length(user_name) > 1
SELECT count(*) FROM history WHERE octet_length(user_name) > 1
SELECT count(*) FROM history WHERE regexp_like(user_name, '^secret')
SELECT count(*) FROM history WHERE user_name ~* 'SECRET'
SELECT count(*) FROM history WHERE user_name !~ '^[0-9]'
SELECT regexp_match(user_name, '(secret)-(.*)') FROM history ORDER BY event_time LIMIT 1
SELECT count(DISTINCT regexp_replace(user_name, '[0-9]', '', 'g')) FROM history
SELECT max(soundex(user_name)) FROM history
SELECT max(levenshtein(user_name, 'secret-222222222222-3')) FROM history
SELECT count(*) FROM history WHERE nullif(account_id, '111111111111') IS NOT NULL
SELECT count(*) FROM history WHERE coalesce(nullif(user_agent, ''), 'empty') = 'empty'
SELECT max(greatest(account_id, '0')), min(least(account_id, 'z')) FROM history
SELECT max(nvl(error_code, account_id)) FROM history
SELECT max(concat_ws('/', account_id, user_name)) FROM history
SELECT max(account_id || '/' || user_name) FROM history
SELECT max(to_char(event_time, '%Y-%m-%d %H:%M')) FROM history
SELECT count(*), date_part('minute', event_time) % 4 AS m FROM history GROUP BY 2 ORDER BY 2
SELECT max(extract(epoch FROM event_time)) FROM history
SELECT count(*) FROM history WHERE to_unixtime(event_time) % 240 <> 0
SELECT array_length(array_agg(DISTINCT account_id)) FROM history
SELECT array_to_string(array_agg(DISTINCT account_id), ',') FROM history
SELECT array_has(array_agg(account_id), '222222222222') FROM history
SELECT array_position(array_agg(account_id), '222222222222') FROM history
SELECT array_max(array_agg(account_id)) FROM history
SELECT array_sort(array_agg(DISTINCT user_name)) FROM history
SELECT cardinality(array_agg(DISTINCT user_name)) FROM history
SELECT list_any_match(array_agg(account_id), x -> x = '222222222222') FROM history
SELECT array_filter(array_agg(account_id), x -> x <> '111111111111') FROM history
SELECT array_transform(make_array('222222222222'), x -> x || 'y')
SELECT flatten(array_agg(make_array(account_id)))[1] FROM history
SELECT unnest(array_agg(DISTINCT account_id)) FROM history
SELECT count(*) FROM (SELECT unnest(array_agg(account_id)) AS a FROM history) x WHERE a <> '111111111111'
SELECT struct(account_id, user_name) FROM history ORDER BY event_time LIMIT 1
SELECT named_struct('a', max(account_id))['a'] FROM history
SELECT map(make_array('a'), make_array(max(account_id))) FROM history
SELECT get_field(resources[1], 'name') FROM history ORDER BY event_time LIMIT 1
SELECT resources[1]['account_id'] FROM history GROUP BY 1
SELECT count(*) FROM history WHERE array_length(resources) > 0
SELECT count(*) FROM history WHERE resources[1]['name'] = 'x'
SELECT json_object_keys(request_parameters) FROM history ORDER BY event_time LIMIT 1
SELECT json_get(request_parameters, 'deep', 'a', 0) FROM history ORDER BY event_time LIMIT 1
SELECT request_parameters->'deep'->'a'->1 FROM history ORDER BY event_time LIMIT 1
SELECT request_parameters->>'deep' FROM history ORDER BY event_time LIMIT 1
SELECT count(*) FROM history WHERE request_parameters->>'n' = '1'
SELECT count(*) FROM history WHERE (request_parameters->'n')::int = 1
SELECT count(*) FROM history WHERE request_parameters ? 'n'
SELECT max(json_get_int(request_parameters, 'n')), min(json_get_int(request_parameters, 'n')) FROM history
SELECT json_get_str(raw, 'eventId') FROM history WHERE account_id <> '111111111111'
SELECT json_get_array(request_parameters, 'deep', 'a') FROM history ORDER BY event_time LIMIT 1
SELECT uuid() = uuid()
SELECT random() < 2
SELECT count(*) FROM history WHERE random() >= 0
SELECT random() < 2 FROM history WHERE account_id = '222222222222'
SELECT nextval('s')
SELECT lastval()
SELECT txid_current()
SELECT pg_current_wal_lsn()
SELECT pg_cancel_backend(1)
SELECT pg_terminate_backend(pg_backend_pid())
SELECT pg_reload_conf()
SELECT pg_rotate_logfile()
SELECT pg_advisory_lock(1)
SELECT pg_notify('x', 'y')
SELECT dblink_connect('x')
SELECT inet_client_addr()
SELECT getdate()
SELECT connection_id()
SELECT last_query_id()
SELECT found_rows()
SELECT row_count()
SELECT current_query()
SELECT system_user()
SELECT is_superuser()
SELECT sum(1) OVER () FROM information_schema.tables ORDER BY 1 LIMIT 1
SELECT generate_series(1, 3)
SELECT range(0, 3)
SELECT array_repeat('x', 3)
SELECT length(repeat('x', 65536))
SELECT length(repeat('x', 65537))
SELECT while_time(true)
SELECT text_concat('a', 'b')
SELECT "while_time"(account_id = '222222222222') FROM history LIMIT 1
SELECT no_such_function(account_id) FROM history
SELECT public.length('x')
SELECT pg_catalog.length('x')
SELECT cairn.public.length('x')
SELECT count(DISTINCT *) FROM history
SELECT count(history) FROM history
SELECT count(account_id, user_name) FROM history
SELECT sum(account_id) FROM history
SELECT sum(user_name) FROM history
SELECT avg(user_name) FROM history
SELECT median(user_name) FROM history
SELECT min(account_id) FILTER (WHERE account_id <> min(account_id)) FROM history
SELECT max(max(account_id)) FROM history
SELECT approx_percentile_cont(CAST(user_name AS INT), 0.9) > 0 FROM history
SELECT approx_percentile_cont(log_offset, 1.5) FROM history
SELECT nth_value(account_id, 0) FROM history
