"""Requests that wait: priority classes, order between and within tenants, tenants' accounts.

Bounded in requests and tokens. It orders requests; `gates` decides whether one may start.
"""
