"""`python -m yolo_trainer data …`: what lies in `prepared/`, whether it is whole, and what nobody needs."""
