-- One table over the shards of a cluster, by which collectors write: all spans of a trace, and a span that is sent twice, go to
-- the same shard. Run on each node after traces.sql and before requests.sql, with your cluster's name for `groq`:
--
--   clickhouse-client --multiquery < distributed.sql
--
-- Collectors: `traces_table_name: otel_traces_all`, `create_schema: false`.
-- Audit: `groqscope audit --clickhouse 'http://node:8123/otel?cluster=groq'`, by which each shard counts its own rows.

CREATE TABLE IF NOT EXISTS otel.otel_traces_all AS otel.otel_traces
ENGINE = Distributed(groq, otel, otel_traces, cityHash64(TraceId));
