"""Drills: what breaks, the callers meanwhile, and the audit afterwards.

callers   an open loop of payments that notes what it was told, and asks again until it is answered
audit     whether anything was lost or charged twice: by the program's own verify, and without it
breaks    what is broken, one function a drill
"""
