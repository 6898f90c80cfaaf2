"""Checks: questions as data, answered one by one; a question that can't be put is *unknown*, never passed."""
