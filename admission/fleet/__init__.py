"""Which of several engines a request goes to: boards, the cost of a choice, what was just chosen.

Advice only: each engine's own controller decides, and only it promises that engine's tokens. A
wrong board or a missed booking costs time, never memory.
"""
