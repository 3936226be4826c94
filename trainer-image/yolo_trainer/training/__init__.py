"""The train stage: the only room with torch and ultralytics."""
