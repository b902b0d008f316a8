"""The app in the browser: pages and a small API over `DeviceClient`, for this machine alone.

`app` puts it together, `guard` keeps every other website out, `serving` runs it. A page is a module with
`routes(context)`; what it needs besides the client lies in `context`.
"""
