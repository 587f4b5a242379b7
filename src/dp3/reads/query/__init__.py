"""Filters and sort orders of requests, as questions to the store and as tests of single documents."""
