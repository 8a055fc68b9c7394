"""The whole tier on one machine, as a production would have it on many.

plan      what runs where: machines, addresses, ports; from a few options
settings  the configuration files, made from the plan
process   starting, killing and stopping one process
netns     a network namespace for each machine, where drills want to cut cables
tier      all of it: up, down, status, and the handles that drills pull
"""
