"""The sample app of `make run`: it stands for a line-of-business application, and calls Mailbind as one does.

`app` is what it does at Mailbind, with an API token of its own, so that the page on which a person confirms names it.
`server` has its pages.
"""
