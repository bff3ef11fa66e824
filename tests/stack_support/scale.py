"""Values for what the files of stack/scale leave open."""

import os

SCALE = {
    **os.environ,
    "TEMPO_MEMBERS": "tempo",
    "TEMPO_BUCKET": "traces",
    "S3_ENDPOINT": "s3:9000",
    "S3_REGION": "r",
    "S3_ACCESS_KEY": "a",
    "S3_SECRET_KEY": "s",
    "TEMPO_ENDPOINT": "tempo:4317",
    "METRICS_ENDPOINT": "http://mimir/otlp",
    "TENANT": "groq",
    "GROQSCOPE_OTLP_TOKEN": "t",
    "COLLECTOR_GATEWAYS": "gateways",
    "KAFKA_BROKERS": "kafka:9092",
    "CLICKHOUSE_ENDPOINT": "tcp://clickhouse:9000",
    "CLICKHOUSE_USER": "u",
    "CLICKHOUSE_PASSWORD": "p",
}
