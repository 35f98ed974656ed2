-- Files, stores and addresses by way of FROM and of functions.
SELECT * FROM '/etc/passwd'
SELECT * FROM "/etc/passwd"
SELECT * FROM '/etc/passwd.csv'
SELECT * FROM 'file:///etc/passwd'
SELECT * FROM "file:///etc/hostname"
SELECT * FROM '../../../etc/passwd'
SELECT * FROM './part-0000.parquet'
SELECT * FROM 'part-0000.parquet'
SELECT * FROM "part-0000.parquet"
SELECT * FROM 'cairn-store-history/part-0000.parquet'
SELECT * FROM 'cairn-store://history/cairn-store-history/part-0000.parquet'
SELECT * FROM "cairn-store://history/"
SELECT * FROM 'memory:///'
SELECT * FROM 's3://elsewhere/x.parquet'
SELECT * FROM 's3a://elsewhere/x.parquet'
SELECT * FROM 'gs://elsewhere/x.parquet'
SELECT * FROM 'az://elsewhere/x.parquet'
SELECT * FROM 'http://169.254.169.254/latest/meta-data/iam/'
SELECT * FROM 'http://127.0.0.1:7070/v1/tokens'
SELECT * FROM 'https://example.com/x.csv'
SELECT * FROM 'hdfs://x/y'
SELECT * FROM 'data:text/csv,1'
SELECT * FROM '/proc/self/environ'
SELECT * FROM '/proc/self/fd/3'
SELECT * FROM '/dev/stdin'
SELECT * FROM '*'
SELECT * FROM '**/*.parquet'
SELECT * FROM parquet.`/etc/passwd`
SELECT * FROM delta.`/x`
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM read_json('/etc/passwd')
SELECT * FROM read_parquet('part-0000.parquet')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM parquet_scan('x')
SELECT * FROM parquet_schema('x')
SELECT * FROM csv('/etc/passwd')
SELECT * FROM glob('/*')
SELECT * FROM file('/etc/passwd')
SELECT * FROM url('http://127.0.0.1')
SELECT * FROM s3('http://127.0.0.1')
SELECT * FROM remote('127.0.0.1', x)
SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a INT)
SELECT * FROM postgres_scan('', 'public', 'history')
SELECT * FROM openrowset(BULK '/etc/passwd', SINGLE_CLOB) x
SELECT * FROM TABLE(history)
SELECT * FROM TABLE(generate_series(1, 10))
SELECT * FROM generate_series(1, 3)
SELECT * FROM generate_series(1, 9223372036854775807)
SELECT * FROM range(3)
SELECT * FROM unnest(make_array(1, 2))
SELECT * FROM json_to_recordset('[]') AS x(a INT)
SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$')) t
SELECT * FROM XMLTABLE('/x' PASSING '<x/>' COLUMNS a INT) t
SELECT * FROM pg_ls_dir('/')
SELECT * FROM pg_read_file('/etc/passwd')
SELECT pg_read_file('/etc/passwd')
SELECT pg_read_binary_file('/etc/passwd')
SELECT pg_ls_dir('/')
SELECT pg_stat_file('/etc/passwd')
SELECT lo_import('/etc/passwd')
SELECT lo_export(1, '/tmp/x')
SELECT load_file('/etc/passwd')
SELECT load_extension('/tmp/x')
SELECT readfile('/etc/passwd')
SELECT writefile('/tmp/x', 'y')
SELECT file('/etc/passwd')
SELECT getenv('HOME')
SELECT sys_exec('id')
SELECT xp_cmdshell('id')
SELECT utl_http.request('http://127.0.0.1')
SELECT http_get('http://127.0.0.1')
SELECT xmlparse(document '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>')
SELECT query_to_xml('SELECT * FROM history', true, true, '')
SELECT database_to_xml(true, true, '')
SELECT count(*) FROM history WHERE raw = read_text('/etc/passwd')
SELECT input_file_name() FROM history
SELECT input_file_block_start() FROM history
SELECT file_row_index() FROM history
SELECT "$path" FROM history
SELECT "$file_size" FROM history
SELECT _path, _file FROM history
SELECT filename FROM history
SELECT _metadata FROM history
