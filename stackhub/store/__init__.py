"""Rows: what the hub must not forget.

One writer thread commits in groups; reads go their own way. Every change of state that belongs together is one
`Transaction`, committed whole or not at all. Times are kept as whole microseconds since 1970, UTC.
"""
