"""Tests of the local parts themselves."""
