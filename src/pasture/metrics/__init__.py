"""What is counted and measured, kept by the minute, and read back as CloudWatch and as Prometheus show it.

- `sample`: many values as one, with percentiles; `names`: the metrics of `AWS/Lambda` (both pure).
- `recorder`: where the invoke path leaves what happened, in memory; `levels`: what is sampled, not counted;
  `expanding`: from there to series, once a flush.
- `store`: a SQLite file of points by the minute; `service` puts recorder and store together.
- `statistics`, `expressions`: what a reader asks of points (pure).
- `prometheus`: the totals since the server's start.
"""
