"""A release and what becomes of it: values, render, plan, impact, change.

Install, upgrade and uninstall share one path: a difference between two manifests, where an install has an
empty old one and an uninstall an empty new one.
"""
