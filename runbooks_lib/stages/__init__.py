"""One module for each notebook: what its cells call, in their order."""
