"""PostgreSQL and Redis from wheels, and the supervisor that `faas dev` runs the whole platform under.

`Stack` (stack.py) is the way in; `postgres` and `redis_server` serve tests too, which need the two servers and nothing else.
"""
