"""Study file -> Study: read, merged, checked, resolved."""
