"""What the services of image-system have in common; imports no service."""
