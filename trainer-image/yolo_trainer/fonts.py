"""The fonts that the image brings along, made when it is built (`trainer-image/Dockerfile`)."""

from pathlib import Path

FOLDER = Path("/opt/yolo/fonts")
UNICODE = FOLDER / "Arial.Unicode.ttf"
"""For names in any script: Chinese, Japanese, Korean, what DejaVu has. Ultralytics looks for this name."""
