"""Container image of a bento: build, tag, content policy.

The Dockerfile template is in deploy/image/.
"""
