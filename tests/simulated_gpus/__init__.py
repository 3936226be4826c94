"""GPUs without GPUs, for tests and for people who try the system: a device plugin on real kubelets and NVML.

Never part of the product: nothing below crds, operator, api, trainer-image or charts knows it.
"""
