"""Requests that wait: priority classes, order between and within tenants, what tenants pay.

Bounded in requests and tokens. It orders; whether a request may start is a question to `gates`.
"""
