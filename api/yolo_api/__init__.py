"""The REST façade: the older server's calls, on YoloTraining objects and the run volume."""
