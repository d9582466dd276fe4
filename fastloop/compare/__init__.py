"""Every way of doing concurrent I/O, side by side: what `fastloop compare` runs.

`techniques` what there is here · `workload` what is asked · `driver` a server and a client, each a
process of its own · `client` the latter · `proc` what a process costs · `point` one measurement ·
`session` all of them, and which make no sense · `grades` Low, Medium, High · `tables` `plots` what
comes out · `command` the command line.
"""
