"""Builders that turn labelled scenes into records; never imported by permjax."""
