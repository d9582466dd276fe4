"""Thread per connection and process per connection: one loop accepts, and each connection has a
loop of its own in a thread or a child process, over the same handlers.
"""
