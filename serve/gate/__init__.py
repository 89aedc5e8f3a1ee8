"""Admission at work: the controller driven by an event loop, the engine's steps and a clock.

The HTTP edge and the engine see it through protocols. It owns a request from its arrival until the
engine has nothing left of it, and releases its lease once.
"""
