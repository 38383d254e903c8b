"""Albums: pictures in an order that people chose."""
