"""The contracts between façade, operator and trainer: custom resource, trainer configuration, names."""
