"""Goals, planners over any world model, and closed-loop control of an imagined, a simulated or a real arm.

``robot`` needs LeRobot, which is imported by whoever uses it.
"""
