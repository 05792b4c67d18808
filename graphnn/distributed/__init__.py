"""Dask: workers that compute whole steps, and data that are not in memory.

A worker is given graphs in our own format and arrays. It imports graphnn, and nothing of ours is sent as code.
"""
