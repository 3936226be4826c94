"""A training by this trainer beside stock `yolo train` with its defaults: `make bench-train`.

`__main__` makes the pictures and starts `run` inside the trainer's image, on 2 CPUs and 4 GiB, so that both
sides have the same libraries. Every training is a program of its own; `hooks/sitecustomize.py` notes the time
of the same events of Ultralytics in both.
"""
