"""How fast prepare is and what memory it takes, beside Ultralytics' own scan: `make bench-data`.

`__main__` starts `run` inside the trainer's image, so that both sides use the same libraries. There every
measurement is a fresh process: `prepare` is ours, `trainer-image/bench_scan.py` theirs.
"""
