"""Charts and pages, for plans, limit searches and labs: plain values in, SVG and HTML out.

Imported only when something is drawn: matplotlib takes half a second.
"""
