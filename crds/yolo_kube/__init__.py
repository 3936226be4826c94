"""The one client of the Kubernetes API: connection, retries, errors, and a reflector that tells deletions.

Façade and operator say in modules of their own which requests they make; everything is plain dicts. The
contracts (`yolo_crds`) know nothing of it.
"""
