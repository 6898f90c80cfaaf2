"""Records for people who look back: one run as a story, and all of them as a static site.

:mod:`story` needs nothing but the records, and the terminal shows the same; jinja2 and nbconvert are an extra.
"""
