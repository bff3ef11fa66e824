"""Requests, 95th percentiles and cost by model, computed by Spark from a history of groqscope.

    python by_model.py HISTORY [DAY]

HISTORY is the directory that has `requests/` in it: `DIR/history` of a store, or `s3a://bucket/groq` (with
Hadoop's libraries for AWS). DAY, such as 2026-11-29, is a partition: of other days nothing is read. Where the program
runs says Spark's configuration, for example `PYSPARK_SUBMIT_ARGS='--master local-cluster[2,1,1024] pyspark-shell'`.
One line of JSON is written for each model, the most frequent first.
"""

import sys

from pyspark.sql import DataFrame, SparkSession, functions


def by_model(requests: DataFrame) -> DataFrame:
    """Return a row for each model; Spark's `percentile` is exact, and interpolates as `groqscope audit` does."""
    return (
        requests.groupBy("model")
        .agg(
            functions.count("*").alias("requests"),
            functions.expr("percentile(duration_ns, 0.95) / 1e6").alias("duration_p95_ms"),
            functions.expr("percentile(phases.queue, 0.95) / 1e6").alias("queue_p95_ms"),
            functions.sum("usage.output_tokens").alias("output_tokens"),
            functions.sum("cost").alias("cost_usd"),
        )
        .orderBy(functions.desc("requests"), "model")
    )


def main(history: str, day: str | None = None) -> None:
    """Compute and write."""
    spark = SparkSession.builder.appName("groqscope").getOrCreate()
    try:
        root = f"{history.rstrip('/')}/requests"
        reader = spark.read.option("mergeSchema", "true").option("basePath", root)
        requests = reader.parquet(root if day is None else f"{root}/day={day}")
        for row in by_model(requests).toJSON().collect():
            print(row)
    finally:
        spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
