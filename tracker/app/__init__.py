"""The app in the browser: ``fusion app``, which is also ``tracker app``.

It shows what both packages do, and computes nothing itself: `fusing`, `aligning`, `tracking` and
`cameras` are one tab each, and call the functions that the commands call. `server` puts them on a
page and serves it; `visitors` keeps the files of every open page apart, `jobs` runs one heavy task
at a time, `limits` says what is too large, `inputs` reads what was uploaded, and `elements` and
`parts` are what the tabs are made of. `command` is the command line, and imports nothing of the
above before it runs.

`fusion` must not import `tracker`, so that the command reaches ``fusion`` as those of any other
package would: by an entry point of the group `fusion.commands.cli.plugins.GROUP`.
"""
