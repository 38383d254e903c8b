"""The operations, a module per category; `augmentation_service.engine.registry` joins them."""
