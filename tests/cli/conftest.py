from fixtures.registry_inputs import empty_registry, home

__all__ = ["empty_registry", "home"]
