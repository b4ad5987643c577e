"""The page that shows all results."""
